import { endAfter } from '../../time/server-time.js';
import {
  LONGEST_PAUSE_MS,
  SAME_END_MS,
  type AttemptRecord,
  type EndAttempt,
} from '../../backend/attempts.js';
import { abortInRootContext } from '../../time/async-context.js';
import { pauseAfter } from '../../time/back-off.js';
import { EncodeError, UnreadableError } from '../../errors.js';
import { callSafely } from '../../util/callbacks.js';
import { digestOf } from '../../credential/snapshot.js';
import { digest } from '../../credential/encoding.js';
import { minDefined } from '../../watching/entry/decode-observation.js';
import { isThenable, withDeadline } from '../../time/timers.js';
import { COMMIT_BACK_OFF, commit, type AfterCommit } from './commit.js';
import { haltingFailure, unusableResult, type Halt } from '../halt.js';
import { isAnswerLost } from '../judgment/lost-answer.js';
import { refusalOf } from '../judgment/refusal.js';
import { retryAfterMs } from '../judgment/retry-after.js';
import { Lease } from './lease.js';
import type { AttemptContext, Basis, RenewalReason } from './context.js';
import type { AttemptRequest, DiscardReason } from '../options.js';

/** The call of the caller's function did not settle within `attemptTimeoutMs`, or before the attempt was abandoned. */
class Unanswered extends Error {}

const END_TRIES = 3;

/** One attempt of this instance, from the lease to the recorded outcome. */
export class Attempt<T> {
  readonly #context: AttemptContext<T>;
  readonly #reason: RenewalReason<T>;
  readonly #record: AttemptRecord;
  readonly #abort = new AbortController();
  readonly #lease: Lease;
  readonly #startedAt: number;
  readonly #abandoned: Promise<never>;
  #giveUp: (error: Error) => void = () => undefined;
  #isOver = false;

  /** @param requestedAt - the instant of the request for the lease, by the monotonic clock */
  constructor(
    context: AttemptContext<T>,
    reason: RenewalReason<T>,
    record: AttemptRecord,
    requestedAt: number,
  ) {
    this.#context = context;
    this.#reason = reason;
    this.#record = record;
    const { backend, key } = context.internals;
    this.#startedAt = backend.clock.monotonic();
    const { leaseMs } = context.options;
    const { id, number, failures, startedFromNothing = false } = record;
    const request = { key, id, leaseMs, number, failures, startedFromNothing };
    this.#lease = new Lease(backend.clock, context.attempts, request, requestedAt, () => {
      abortInRootContext(this.#abort, new Error('another instance has started to re-authenticate'));
    });
    this.#abandoned = new Promise((_, reject) => {
      this.#giveUp = reject;
    });
    this.#abandoned.catch(() => undefined);
  }

  /** Resolves when the outcome is known and the view of this instance is at least as new; never rejects. */
  async run(): Promise<void> {
    this.#lease.keep();
    try {
      const basis = await this.#prepare().catch(() => 'unknown' as const);
      // A result would come too late to be stored.
      if (this.#context.pauses.ended) return;
      if (basis === 'unknown') {
        // No refresh token was spent: the next attempt neither waits for the end of the lease nor is in doubt.
        await this.#end({ outcome: 'failed', ...this.#failure() });
      } else if (basis === undefined) {
        this.#context.counts.needless += 1;
        await this.#end({ outcome: 'needless' });
      } else await this.#call(basis);
    } catch {
      // Without a recorded outcome the lease ends by itself.
    } finally {
      this.#lease.drop();
    }
    if (!this.#context.pauses.ended) await this.#context.internals.live.refreshed();
    this.#isOver = true;
  }

  /** Ends the wait for the caller's function, after all pauses have ended. The record stays, so that a successor knows of the doubt. */
  abandon(): void {
    // The caller's code may still use the signal of an attempt that is over.
    if (this.#isOver) return;
    this.#lease.drop();
    this.#giveUp(new Unanswered());
    abortInRootContext(this.#abort, new Error('the reauthenticator was closed'));
  }

  /** The basis, if the reason to renew still holds, and this instance still holds the lease. */
  async #prepare(): Promise<Basis<T> | undefined> {
    const basis = await this.#readBasis();
    // After a pause of this process, another instance may be spending the same refresh token.
    return basis !== undefined && (await this.#lease.holds()) ? basis : undefined;
  }

  /** The stored bytes, if they are still the bytes to replace. */
  async #readBasis(): Promise<Basis<T> | undefined> {
    const { internals, options } = this.#context;
    const { backend, key, encoding } = internals;
    const renewal = this.#reason;
    const { content, expiresAt: ttlEnd } = await backend.read(key, internals.options.maxBytes);
    if (renewal.snapshot === undefined) {
      const { cause } = renewal;
      const { login } = options;
      if (content.type !== 'absent' || login === undefined) return undefined;
      return { expected: 'absent', end: undefined, call: (common) => login({ ...common, cause }) };
    }
    // Credentials that have vanished cannot be refreshed: the absence is judged by itself.
    if (content.type !== 'bytes') return undefined;
    const { snapshot } = renewal;
    const stored = digest(content.bytes);
    if (stored !== digestOf(snapshot)) return undefined;
    const decoded = await encoding.decodeHeld(content);
    // These bytes were readable before: a decryption key may be missing here that another instance still has.
    if (decoded.type === 'unreadable') throw decoded.error;
    const end = minDefined(decoded.logicalEnd, ttlEnd);
    const moved = end === undefined || end > (snapshot.expiresAt ?? Infinity) + SAME_END_MS;
    if (renewal.cause !== 'rejected' && moved) return undefined;
    const { cause, reason } = renewal;
    const { credentials: previous } = decoded;
    return {
      expected: { digest: stored },
      end,
      call: (common) =>
        // Each cause has a member of its own in the union.
        cause === 'rejected'
          ? options.refresh({ ...common, previous, cause, reason })
          : options.refresh({ ...common, previous, cause, reason: undefined }),
    };
  }

  async #call(basis: Basis<T>): Promise<void> {
    const { options, counts, internals } = this.#context;
    counts.calls += 1;
    if (this.#record.inDoubt) counts.takeovers += 1;
    const call = new Promise<T>((resolve) => {
      resolve(basis.call(this.#request()));
    }).then((credentials) => {
      if (credentials === undefined) throw new TypeError('refresh or login returned nothing');
      return credentials;
    });
    let credentials: T;
    try {
      credentials = await withDeadline(
        internals.backend.clock,
        Promise.race([call, this.#abandoned]),
        options.attemptTimeoutMs,
        () => new Unanswered(),
      );
    } catch (error) {
      if (!(error instanceof Unanswered)) {
        await this.#failed(error, basis);
        return;
      }
      // A late result may hold the only valid refresh token.
      call
        .then((late) => this.#settle(late, basis))
        .then(
          () => internals.live.refreshed(),
          () => undefined,
        );
      await this.#unanswered();
      return;
    }
    const outcome = await this.#settle(credentials, basis);
    if (outcome === 'unchanged') await this.#end({ outcome, ...this.#failure() });
    else if (typeof outcome === 'object') await this.#unusable(outcome.unusable);
    else if (outcome !== 'committed') await this.#end({ outcome: 'discarded' });
  }

  #request(): AttemptRequest {
    const { number: attempt, inDoubt = false } = this.#record;
    const { live } = this.#context.internals;
    const endsIn = (seconds: number): number => endAfter(live.serverNow(), seconds);
    return { attempt, signal: this.#abort.signal, inDoubt, endsIn };
  }

  /** Stores the new credentials, or hands them to `onDiscarded`. */
  async #settle(credentials: T, basis: Basis<T>) {
    const { counts } = this.#context;
    const outcome = await commit(this.#context, this.#record, basis, credentials, (hasEnded) =>
      this.#afterCommit(hasEnded),
    );
    if (outcome === 'committed' || outcome === 'unchanged') counts[outcome] += 1;
    else this.#discard(credentials, typeof outcome === 'object' ? 'unusable' : outcome);
    return outcome;
  }

  async #unanswered(): Promise<void> {
    if (this.#context.pauses.ended) return;
    this.#context.counts.unanswered += 1;
    abortInRootContext(this.#abort, new Error('the attempt took longer than attemptTimeoutMs'));
    await this.#end({ outcome: 'unanswered', ...this.#failure() });
  }

  async #failed(error: unknown, { end }: Basis<T>): Promise<void> {
    const { options, counts } = this.#context;
    const fatal = this.#isFatal(error);
    counts[fatal ? 'fatal' : 'failed'] += 1;
    this.#notify('onFailure', options.onFailure, [error, fatal]);
    const halting = fatal ? undefined : haltingFailure(error, this.#fn);
    if (halting !== undefined) {
      // The fault is of this instance: others may succeed, and need not wait.
      await this.#end({ outcome: 'failed' });
      this.#halt({ ...halting, cause: undefined });
      return;
    }
    const answerless = isAnswerLost(error) ? 'unanswered' : 'failed';
    const outcome = fatal ? 'fatal' : answerless;
    const { failures, pauseMs } = this.#failure();
    const asked = retryAfterMs(error, this.#context.internals.live.serverNow()) ?? 0;
    await this.#end({
      outcome,
      endsAt: end,
      oauthError: refusalOf(error)?.oauthError,
      failures,
      pauseMs: Math.max(pauseMs, Math.min(asked, LONGEST_PAUSE_MS)),
    });
  }

  /** A refresh token was spent for a result that cannot be stored: the next attempt is in doubt. */
  async #unusable(cause: unknown): Promise<void> {
    this.#context.counts.failed += 1;
    if (isPassing(cause)) {
      await this.#end({ outcome: 'unanswered', ...this.#failure() });
      return;
    }
    await this.#end({ outcome: 'unanswered' });
    const { failure, cause: known } = unusableResult(cause, this.#fn);
    this.#halt({ reason: 'program', oauthError: undefined, failure, cause: known });
  }

  #halt(halt: Omit<Halt, 'attempt' | 'until'>): void {
    const { internals, options } = this.#context;
    const again = internals.backend.clock.monotonic() + options.backOff.maxMs;
    const until = halt.reason === 'client' ? again : Infinity;
    this.#warn(halt);
    this.#context.halted({ ...halt, attempt: this.#record.number, until });
  }

  /** Somebody has to learn of a mistake, also where nobody waits and no `onFailure` is given. */
  #warn({ reason, failure }: Pick<Halt, 'reason' | 'failure'>): void {
    const { options, warned } = this.#context;
    if (options.onFailure !== undefined || warned.has(reason)) return;
    warned.add(reason);
    process.emitWarning(`${failure}; this instance makes no attempts now`, 'CredstreamWarning');
  }

  /** The caller's function that this attempt calls. */
  get #fn(): string {
    const name = this.#reason.snapshot === undefined ? 'login' : 'refresh';
    return `${name} of "${this.#context.internals.id}"`;
  }

  #isFatal(error: unknown): boolean {
    const { options, internals } = this.#context;
    const failed = (failure: unknown): void => {
      internals.options.onCallbackError(failure, 'isFatal');
    };
    try {
      const fatal: unknown = options.isFatal(error);
      // A rejection of `isFatal` must not stay unhandled.
      if (isThenable(fatal)) Promise.resolve(fatal).catch(failed);
      return fatal === true;
    } catch (failure) {
      failed(failure);
      return false;
    }
  }

  /** Credentials past their end are stored for their refresh token, but count as a failure. */
  #afterCommit(hasEnded: boolean): AfterCommit {
    return hasEnded ? this.#failure() : { failures: 0, pauseMs: this.#restOfInterval() };
  }

  #failure(): AfterCommit {
    const failures = this.#record.failures + 1;
    const { backend } = this.#context.internals;
    const pauseMs = pauseAfter(failures, this.#context.options.backOff, backend.random);
    return { failures, pauseMs: Math.max(pauseMs, this.#restOfInterval()) };
  }

  #restOfInterval(): number {
    const { clock } = this.#context.internals.backend;
    const { minIntervalMs } = this.#context.options;
    return Math.max(0, this.#startedAt + minIntervalMs - clock.monotonic());
  }

  async #end(
    end: Pick<EndAttempt, 'outcome'> & Partial<Omit<EndAttempt, 'outcome'>>,
  ): Promise<void> {
    const { backend, key } = this.#context.internals;
    const { id, number, failures } = this.#record;
    this.#lease.drop();
    const pauseMs = this.#restOfInterval();
    const common = { key, id, number, failures, pauseMs, endsAt: undefined, oauthError: undefined };
    for (let tries = 1; !this.#context.pauses.ended; tries += 1) {
      try {
        await this.#context.attempts.end({ ...common, ...end });
        return;
      } catch (error) {
        if (tries === END_TRIES) throw error;
        await this.#context.pauses.pause(pauseAfter(tries, COMMIT_BACK_OFF, backend.random));
      }
    }
  }

  #discard(credentials: T, reason: DiscardReason): void {
    const { options, counts } = this.#context;
    counts.discarded += 1;
    this.#notify('onDiscarded', options.onDiscarded, [credentials, reason]);
  }

  #notify<A extends unknown[]>(
    where: string,
    listener: ((...args: A) => unknown) | undefined,
    args: A,
  ): void {
    if (listener === undefined) return;
    callSafely(listener, args, (error) => {
      this.#context.internals.options.onCallbackError(error, where);
    });
  }
}

/** Whether a codec did not answer in time: the same result may be stored another time. */
function isPassing(error: unknown): boolean {
  return (
    (error instanceof EncodeError || error instanceof UnreadableError) && error.reason === 'timeout'
  );
}
