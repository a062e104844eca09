import { OutcomeUnknownError, RefusedError, UnavailableError } from '../../errors.js';
import { randomUUID } from 'node:crypto';
import type {
  AttemptRecord,
  AttemptStart,
  RenewAttempt,
  RenewOutcome,
} from '../../backend/attempts.js';
import type { AttemptVerbs } from '../../backend/attempt-verbs.js';
import { inRootContext } from '../../time/async-context.js';
import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';
import type { CredentialAssessment } from '../assessment.js';
import type { AttemptContext } from './context.js';
import type { ResolvedReauthenticatorOptions } from '../options.js';
import type { Waiter } from '../waiters.js';

/** The answer to a request for the lease; `unanswered` without a reply of Redis. */
export type LeaseAnswer = AttemptStart | { readonly type: 'unanswered'; readonly error: unknown };

/** A process that is too slow to read three replies within `leaseMs` each is too slow to authenticate; the next attempt is another one's. */
const MOST_REQUESTS = 3;

type Intervals = Pick<ResolvedReauthenticatorOptions<unknown>, 'leaseMs' | 'minIntervalMs'>;

/**
 * Requests the lease of one credential. A request without a reply is repeated under the same id, because Redis may have granted the lease
 * all the same.
 */
export class LeaseRequests {
  readonly #attempts: AttemptVerbs;
  readonly #key: string;
  readonly #intervals: Intervals;
  readonly #name = randomUUID();
  #count = 0;
  /** The id of the request without a reply. */
  #id: string | undefined;
  #unanswered = 0;

  constructor(attempts: AttemptVerbs, key: string, intervals: Intervals) {
    this.#attempts = attempts;
    this.#key = key;
    this.#intervals = intervals;
  }

  /** The number of requests in a row without a reply. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Redis replies again: the next request without a reply counts as the first. */
  resetUnanswered(): void {
    this.#unanswered = 0;
  }

  /**
   * Never rejects.
   *
   * @param endsAt - the end of the credential that the lease is for
   */
  async request(
    endsAt: number | undefined,
    clearedBefore: number | undefined,
  ): Promise<LeaseAnswer> {
    const { leaseMs, minIntervalMs } = this.#intervals;
    const id = (this.#id ??= `${this.#name}:${String((this.#count += 1))}`);
    try {
      const start = { key: this.#key, id, leaseMs, minIntervalMs, endsAt, clearedBefore };
      const answer = await this.#attempts.start(start);
      this.#id = undefined;
      this.#unanswered = 0;
      return answer;
    } catch (error) {
      this.#unanswered += 1;
      return { type: 'unanswered', error };
    }
  }
}

/** Keeps the lease of one attempt while the attempt runs, and reports that another instance has started. */
export class Lease {
  readonly #clock: Clock;
  readonly #attempts: AttemptVerbs;
  readonly #request: RenewAttempt;
  readonly #superseded: () => void;
  #cancelTimer: (() => void) | undefined;
  #dropped = false;
  /** The end of the lease by the monotonic clock, counted from the request, because the reply may have taken long. */
  #heldUntil: number;

  constructor(
    clock: Clock,
    attempts: AttemptVerbs,
    request: RenewAttempt,
    requestedAt: number,
    superseded: () => void,
  ) {
    this.#clock = clock;
    this.#attempts = attempts;
    this.#request = request;
    this.#superseded = superseded;
    this.#heldUntil = requestedAt + request.leaseMs;
  }

  keep(): void {
    this.#cancelTimer = setLongTimeout(this.#clock, this.#request.leaseMs / 3, () => {
      void this.#renew();
    });
  }

  /**
   * Whether no other instance has started an attempt. Asks Redis when that is not certain, as after a pause of the process; `false` also
   * when the lease had ended again with each of a few replies.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError
   */
  async holds(): Promise<boolean> {
    for (let asked = 0; this.#clock.monotonic() >= this.#heldUntil; asked += 1) {
      // The lease of a reply that took too long may have ended since.
      if (asked === MOST_REQUESTS || this.#dropped || (await this.#prolong()) !== 'held')
        return false;
    }
    return true;
  }

  drop(): void {
    this.#dropped = true;
    this.#cancelTimer?.();
  }

  async #renew(): Promise<void> {
    try {
      const answer = await this.#prolong();
      if (this.#dropped || answer === 'ended') return;
      if (answer === 'superseded') {
        this.#superseded();
        return;
      }
    } catch {
      // The next renewal may get its reply, and nothing is lost before another instance starts.
      if (this.#dropped) return;
    }
    this.keep();
  }

  async #prolong(): Promise<RenewOutcome> {
    const requestedAt = this.#clock.monotonic();
    const answer = await this.#attempts.renew(this.#request);
    this.#heldUntil = answer === 'held' ? requestedAt + this.#request.leaseMs : -Infinity;
    return answer;
  }
}

/** Releases a lease that was granted after the end of the reauthenticator. Never rejects. */
export async function releaseLease<T>(
  { attempts, internals: { key } }: AttemptContext<T>,
  { id, number, failures }: AttemptRecord,
): Promise<void> {
  const end = { key, id, number, failures, pauseMs: 0, endsAt: undefined, oauthError: undefined };
  await attempts.end({ ...end, outcome: 'needless' }).catch(() => undefined);
}

/**
 * Ends the fatal failure of an attempt, and an earlier clear, after new credentials were stored.
 *
 * @param id - of the attempt that failed; empty for none
 * @param storedAt - the server's time of the reading that found the credentials
 */
export function settle<T>(
  { attempts, internals: { key } }: AttemptContext<T>,
  id: string,
  storedAt: number | undefined,
): void {
  // An instance without a link need not repeat this: the end of the new credentials, if any, differs from the recorded one, and each
  // instance that observes them does the same.
  attempts.settle({ key, id, storedAt }).catch(() => undefined);
}

/**
 * Asks Redis about an absent credential. Was it cleared? Only the tombstone tells a logout from a removal by other means. The answer to a
 * request for the lease tells it too; this question serves waiters while an attempt is under way, or while no attempt may start. Is it
 * still absent? Without `login` that is the answer to waiters.
 */
export class AbsenceCheck<T> {
  readonly #context: AttemptContext<T>;
  readonly #assessment: CredentialAssessment<T>;
  readonly #learned: () => void;
  /** The monotonic instant of the last question for a clear. */
  #askedAt = -Infinity;
  /** The answer to it, or none yet. */
  #isCleared: Promise<boolean> = Promise.resolve(false);
  #isConfirming = false;

  /** @param learned - called when the assessment or a waiter has learned of a clear or of a confirmed absence */
  constructor(
    context: AttemptContext<T>,
    assessment: CredentialAssessment<T>,
    learned: () => void,
  ) {
    this.#context = context;
    this.#assessment = assessment;
    this.#learned = learned;
  }

  /** The credential changed: the last answer is out of date. */
  reset(): void {
    this.#askedAt = -Infinity;
  }

  /** Asks for a clear, unless the answer is known already, or the last one is recent. */
  ask(): void {
    if (this.#isRecent) return;
    void this.#ask().then((isCleared) => {
      if (!isCleared) return;
      this.#assessment.wasCleared(this.#context.options.minIntervalMs);
      this.#learned();
    });
  }

  /** Reads the key and asks for a clear at the same time, so that the waiters have their answer within one round trip. */
  confirm(waiters: Iterable<Waiter<T>>): void {
    const asked = [...waiters];
    if (asked.length === 0 || this.#isConfirming || !this.#isFresh) return;
    this.#isConfirming = true;
    const { internals, options } = this.#context;
    const both = inRootContext(() => Promise.all([this.#ask(), internals.live.refreshed()]));
    void both.then(([isCleared]) => {
      this.#isConfirming = false;
      // The answer counts from here on, because the reading may have taken longer than the question.
      if (isCleared) this.#assessment.wasCleared(options.minIntervalMs);
      // Nothing was read if the link was lost meanwhile.
      if (this.#isFresh) for (const waiter of asked) waiter.isAbsenceConfirmed = true;
      this.#learned();
    });
  }

  get #isFresh(): boolean {
    return this.#context.internals.live.status.freshness === 'fresh';
  }

  get #isRecent(): boolean {
    const { internals, options } = this.#context;
    return internals.backend.clock.monotonic() - this.#askedAt < options.minIntervalMs;
  }

  /** Never rejects. */
  #ask(): Promise<boolean> {
    const { attempts, internals } = this.#context;
    const { clearedBefore, generation, mayBeCleared } = this.#assessment;
    if (!mayBeCleared) return Promise.resolve(false);
    if (this.#isRecent) return this.#isCleared;
    this.#askedAt = internals.backend.clock.monotonic();
    return (this.#isCleared = attempts.isCleared(internals.key, clearedBefore).then(
      (isCleared) => isCleared && generation === this.#assessment.generation,
      () => false,
    ));
  }
}

/** The error as a state may show it: only errors of this package, which quote no data of the caller. */
export function shown(
  error: unknown,
): UnavailableError | RefusedError | OutcomeUnknownError | undefined {
  const isKnown =
    error instanceof UnavailableError ||
    error instanceof RefusedError ||
    error instanceof OutcomeUnknownError;
  return isKnown ? error : undefined;
}
