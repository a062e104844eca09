import type { Observable } from 'rxjs';
import { AttemptVerbs } from '../backend/attempt-verbs.js';
import type { AttemptStart } from '../backend/attempts.js';
import { inRootContext } from '../time/async-context.js';
import { pauseAfter } from '../time/back-off.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { ClosedError, withId } from '../errors.js';
import type { WatchEvent } from '../watching/event-source.js';
import type { StoreInternals } from '../stores/internals.js';
import { Pauses } from '../time/pauses.js';
import { withDeadline } from '../time/timers.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { inSubscriberContext } from '../util/subscriber-context.js';
import type { Semaphore } from '../util/semaphore.js';
import { Attempt } from './attempt/attempt.js';
import type { AttemptContext, Counter, RenewalReason } from './attempt/context.js';
import { CredentialAssessment } from './assessment.js';
import { Cooldown } from './cooldown.js';
import {
  AbsenceCheck,
  LeaseRequests,
  releaseLease,
  settle,
  shown,
  type LeaseAnswer,
} from './attempt/lease.js';
import type { Asking, Queued, Running, Started, Work } from './attempt/work.js';
import type { ResolvedReauthenticatorOptions } from './options.js';
import { RenewalSchedule } from './schedule.js';
import {
  absent,
  errorIn,
  haltedState,
  idle,
  refusalIn,
  type ReauthenticationState,
} from './state.js';
import { noteStart, Waiters, type Waiter } from './waiters.js';

/**
 * Decides when this instance requests the lease, and acts on the answer. Every event (a state, a hint, a waiter, a timer) ends in `#evaluate`,
 * which compares the reason to renew with the step under way.
 */
export class Coordinator<T> {
  readonly #context: AttemptContext<T>;
  readonly #states = new OrderedSubject<ReauthenticationState>({ value: idle });
  readonly #assessment: CredentialAssessment<T>;
  readonly #waiters: Waiters<T>;
  readonly #schedule: RenewalSchedule<T>;
  readonly #cooldown: Cooldown;
  readonly #requests: LeaseRequests;
  readonly #absence: AbsenceCheck<T>;
  readonly #unwatch: () => void;
  #work: Work<T> = idle;

  /** @param semaphore - bounds how many credentials are re-authenticated at the same time */
  constructor(
    internals: StoreInternals<T>,
    options: ResolvedReauthenticatorOptions<T>,
    counts: Counter,
    semaphore: Semaphore | undefined,
  ) {
    const { backend, live } = internals;
    const { clock, random } = backend;
    const evaluate = (): void => {
      this.#evaluate();
    };
    this.#cooldown = new Cooldown(clock, random, evaluate);
    this.#waiters = new Waiters(clock, evaluate);
    this.#assessment = new CredentialAssessment(internals, options);
    const attempts = new AttemptVerbs(backend);
    this.#requests = new LeaseRequests(attempts, internals.key, options);
    this.#schedule = new RenewalSchedule(live, options, random, evaluate);
    this.#context = {
      attempts,
      internals,
      options,
      counts,
      semaphore,
      pauses: new Pauses(clock),
      commitFailed: (attempt, error) => {
        const { state } = this;
        // An attempt may still repeat its commit after its deadline, when this instance shows another state.
        if (state.type === 'authenticating' && state.attempt === attempt)
          this.#show({ ...state, error: shown(error) });
      },
      warned: new Set(),
      halted: (halt) => {
        if (this.#work.type === 'closed') return;
        this.#assessment.stops.begin(halt);
        const state = haltedState(halt, clock);
        if (state.nextAt !== undefined) this.#cooldown.begin(state.nextAt - clock.now());
        this.#show(state);
      },
    };
    this.#absence = new AbsenceCheck(this.#context, this.#assessment, evaluate);
    const subscription = live.events$.subscribe((event) => {
      this.#take(event);
    });
    subscription.add(live.retain());
    this.#unwatch = () => {
      subscription.unsubscribe();
    };
    this.#evaluate();
  }

  get state(): ReauthenticationState {
    return this.#states.latest ?? idle;
  }

  get state$(): Observable<ReauthenticationState> {
    return inSubscriberContext(this.#states.asObservable());
  }

  /** Valid credentials from memory, if they stay valid for so long. */
  valid(minValidityMs: number): CredentialSnapshot<T> | undefined {
    return this.#assessment.valid(minValidityMs);
  }

  wait(
    minValidityMs: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<CredentialSnapshot<T>> {
    const cause = () => errorIn(this.state) ?? this.#context.internals.live.status.error;
    const { waiter, settled } = this.#waiters.add(minValidityMs, timeoutMs, signal, cause);
    this.#answer([waiter]);
    this.#pursue();
    if (this.#waiters.size > 0 && this.#work.type !== 'asking') this.#absence.ask();
    return settled;
  }

  /** Says whether the rejected credential was the current one. */
  reject(digest: string, reason: string | undefined): boolean {
    const isCurrent = this.#assessment.reject(digest, reason);
    this.#evaluate();
    return isCurrent;
  }

  /** Starts no new step, gives the step under way `drainMs` to finish, and abandons it then. */
  async close(): Promise<void> {
    const { internals, options, pauses } = this.#context;
    const work = this.#work;
    this.#work = { type: 'closed' };
    this.#cooldown.end();
    this.#schedule.cancel();
    for (const waiter of this.#waiters) waiter.reject(new ClosedError());
    if ('done' in work) {
      const late = (): Error => new ClosedError();
      await withDeadline(internals.backend.clock, work.done, options.drainMs, late).catch(() => 0);
    }
    pauses.end();
    if (work.type === 'running') work.attempt.abandon();
    this.#unwatch();
    this.#show({ type: 'closed' });
    this.#states.complete();
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'status') {
      // The link is back, and the cooldown only waited for it.
      if (event.status.link !== 'live' || this.#requests.unanswered === 0) return;
      this.#requests.resetUnanswered();
      this.#cooldown.end();
    }
    if (event.type === 'state') this.#assessment.took(event);
    // The attempt that this instance waits for has ended.
    if (event.type === 'attempt' && !this.#assessment.stops.last) this.#cooldown.end();
    this.#evaluate();
    if (event.type !== 'state' || event.change === undefined) return;
    this.#absence.reset();
    if (this.#waiters.size > 0 && this.#work.type !== 'asking') this.#absence.ask();
  }

  #evaluate(): void {
    if (this.#work.type === 'closed') return;
    const replaced = this.#assessment.replaced();
    if (this.#assessment.returned() || replaced !== undefined) this.#settle(replaced);
    this.#schedule.follow(this.#assessment.present);
    this.#answer(this.#waiters);
    this.#pursue();
  }

  #answer(waiters: Iterable<Waiter<T>>): void {
    const { state } = this.#assessment;
    const pausing = this.#cooldown.lasts ? this.state : idle;
    const refusal = refusalIn(pausing);
    for (const waiter of waiters) {
      noteStart(waiter, state);
      this.#assessment.answer(waiter);
      // Waiting mends no set-up. An answered waiter ignores this.
      if (refusal !== undefined) waiter.reject(withId(refusal, this.#context.internals.id));
      this.#assessment.stops.refuseBefore(pausing, waiter);
    }
  }

  #pursue(): void {
    const { needsLogin } = this.#assessment;
    // An attempt of this instance that is under way may replace what was lost.
    if (needsLogin && this.#work.type !== 'running') this.#absence.confirm(this.#waiters);
    if (this.#work.type !== 'idle' || this.#assessment.stops.last) return;
    const reason = this.#reasonToRenew();
    if (reason === undefined) {
      this.#cooldown.end();
      this.#show(needsLogin ? absent : idle);
    } else if (!this.#cooldown.lasts) {
      // The attempt serves all who wait, not only the caller that came first.
      inRootContext(() => {
        const permit = this.#context.semaphore?.acquire();
        if (permit === undefined) this.#ask(reason);
        else this.#queue(permit);
      });
    }
  }

  #reasonToRenew(): RenewalReason<T> | undefined {
    return this.#assessment.reasonToRenew(this.#waiters.size > 0, (one) =>
      this.#schedule.isDue(one),
    );
  }

  #queue(permit: Promise<void>): void {
    const queued: Queued = { type: 'queued' };
    this.#work = queued;
    void permit.then(() => {
      const isCurrent = this.#work === queued;
      // Other credentials came first, and the reason may be gone.
      const reason = isCurrent ? this.#reasonToRenew() : undefined;
      if (reason !== undefined) {
        this.#ask(reason);
        return;
      }
      this.#context.semaphore?.release();
      if (!isCurrent) return;
      this.#work = idle;
      this.#evaluate();
    });
  }

  #ask(reason: RenewalReason<T>): void {
    const { generation, clearedBefore } = this.#assessment;
    const requestedAt = this.#context.internals.backend.clock.monotonic();
    const answered = this.#requests.request(reason.snapshot?.expiresAt, clearedBefore);
    const asking: Asking<T> = {
      type: 'asking',
      reason,
      generation,
      requestedAt,
      done: answered.then((answer) => this.#answered(asking, answer)),
    };
    this.#work = asking;
  }

  async #answered(asking: Asking<T>, answer: LeaseAnswer): Promise<void> {
    const { semaphore } = this.#context;
    const isCurrent = this.#work === asking;
    if (isCurrent) this.#work = idle;
    if (answer.type === 'started' && isCurrent) this.#begin(answer, asking);
    else {
      if (answer.type === 'started') await releaseLease(this.#context, answer.record);
      else if (isCurrent) this.#follow(answer, asking);
      semaphore?.release();
    }
    // The reason for the request may be gone by now.
    this.#evaluate();
  }

  /** Acts on an answer that does not grant the lease. */
  #follow(answer: Exclude<LeaseAnswer, { type: 'started' }>, { generation }: Asking<T>): void {
    const isOutdated = generation !== this.#assessment.generation;
    switch (answer.type) {
      case 'unanswered':
        this.#backOff(answer.error);
        break;
      case 'cleared':
        if (!isOutdated) this.#assessment.wasCleared(this.#context.options.minIntervalMs);
        // This instance may not have observed the clear yet, and would ask again until then.
        void this.#context.internals.live.refreshed();
        this.#cooldown.begin(this.#context.options.minIntervalMs);
        break;
      case 'fatal':
        if (isOutdated) this.#settle(answer.record.id);
        else {
          const { instance, name, number: attempt, oauthError } = answer.record;
          this.#assessment.stops.begin(answer.record);
          this.#show({ type: 'failed', attempt, instance, name, oauthError });
        }
        break;
      case 'held':
      case 'early':
        this.#awaitOther(answer);
    }
  }

  #begin({ record, afterClear }: Started, { reason: wanted, requestedAt }: Asking<T>): void {
    const { internals, semaphore } = this.#context;
    const reason: RenewalReason<T> =
      afterClear && wanted.cause === 'absent' ? { ...wanted, cause: 'cleared' } : wanted;
    const attempt = new Attempt(this.#context, reason, record, requestedAt);
    const running: Running<T> = {
      type: 'running',
      attempt,
      done: attempt.run().then(() => {
        if (this.#work === running) this.#work = idle;
        semaphore?.release();
        // A reason that still holds leads to the next request, and the record gives its answer.
        this.#evaluate();
      }),
    };
    this.#work = running;
    const common = { attempt: record.number, cause: reason.cause, error: undefined };
    this.#show({ type: 'authenticating', ...common, since: internals.backend.clock.now() });
  }

  /** Another instance holds the lease, or all instances pause. */
  #awaitOther({ type, record, leftMs }: Extract<AttemptStart, { leftMs: number }>): void {
    const { instance, name, number: attempt, failures } = record;
    this.#cooldown.begin(leftMs);
    const until = this.#context.internals.backend.clock.now() + leftMs;
    if (type === 'held') this.#show({ type: 'waiting', instance, name, attempt, until });
    else this.#show({ type: 'backing-off', attempt, failures, nextAt: until, error: undefined });
  }

  #backOff(cause: unknown): void {
    const { internals, options } = this.#context;
    const { clock, random } = internals.backend;
    const pauseMs = pauseAfter(this.#requests.unanswered, options.backOff, random);
    this.#cooldown.begin(pauseMs);
    const common = { attempt: undefined, failures: 0, error: shown(cause) };
    this.#show({ type: 'backing-off', nextAt: clock.now() + pauseMs, ...common });
  }

  /** New credentials were stored, which ends a fatal failure of the old ones, and an earlier clear, for all instances. */
  #settle(failed = ''): void {
    if (failed !== '') this.#cooldown.end();
    inRootContext(() => settle(this.#context, failed, this.#assessment.storedAt));
  }

  /** The last call in each step, because a subscriber may request credentials, or close. */
  #show(state: ReauthenticationState): void {
    if (this.state === state) return;
    this.#states.emit(state);
  }
}
