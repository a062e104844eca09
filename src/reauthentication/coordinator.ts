import { randomUUID } from 'node:crypto';
import type { Observable, Subscription } from 'rxjs';
import { AttemptVerbs } from '../backend/attempt-verbs.js';
import type { AttemptRecord, AttemptStart } from '../backend/attempts.js';
import { pauseAfter } from '../time/back-off.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { ClosedError } from '../errors.js';
import type { WatchEvent } from '../watching/event-source.js';
import type { StoreInternals } from '../stores/store-internals.js';
import { withDeadline } from '../time/timers.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { Attempt } from './attempt.js';
import { begin, Waiters, type Waiter } from './waiters.js';
import { clearFailure, releaseLease } from './give-back.js';
import { RenewalSchedule } from './schedule.js';
import type { LeaseRequest, AttemptContext, Counter, RenewalReason } from './attempt-context.js';
import { Pauses } from './pauses.js';
import type { ResolvedReauthenticatorOptions } from './options.js';
import type { ReauthenticationState } from './state.js';
import { Cooldown } from './cooldown.js';
import { CredentialAssessment } from './assessment.js';
import { showableError } from './visible-error.js';

/**
 * Decides when this node asks for the lease, and what it does with the answer. Whatever happens (a new state, a hint, a demand, a timer)
 * ends in `#evaluate`, which compares what is needed with what is under way.
 */
export class Coordinator<T> {
  readonly #internals: StoreInternals<T>;
  readonly #options: ResolvedReauthenticatorOptions<T>;
  readonly #context: AttemptContext<T>;
  #state: ReauthenticationState = { type: 'idle' };
  readonly #states = new OrderedSubject({ value: this.#state });
  readonly #assessment: CredentialAssessment<T>;
  readonly #waiters: Waiters<T>;
  readonly #schedule: RenewalSchedule<T>;
  readonly #pauses: Pauses;
  readonly #cooldown: Cooldown;
  readonly #subscription: Subscription;
  readonly #release: () => void;
  readonly #name = randomUUID();
  #ids = 0;
  /** Kept until an answer comes, because asking again by the same id finds a lease whose grant was lost. */
  #id: string | undefined;
  #asking: Promise<void> | undefined;
  #run: { readonly attempt: Attempt<T>; readonly done: Promise<void> } | undefined;
  /** How often in a row Redis could not be asked. */
  #unreachable = 0;
  #closed = false;

  constructor(
    parts: StoreInternals<T>,
    options: ResolvedReauthenticatorOptions<T>,
    counts: Counter,
  ) {
    this.#internals = parts;
    this.#options = options;
    const { clock, random } = parts.backend;
    const evaluate = (): void => {
      this.#evaluate();
    };
    this.#pauses = new Pauses(clock);
    this.#cooldown = new Cooldown(clock, random, evaluate);
    this.#waiters = new Waiters(clock, evaluate);
    this.#assessment = new CredentialAssessment(parts, options);
    const wasEvicted = (): boolean => this.#assessment.wasEvicted;
    const troubled = (attempt: number, error: unknown): void => {
      this.#trouble(attempt, error);
    };
    this.#context = {
      attempts: new AttemptVerbs(parts.backend),
      internals: parts,
      options,
      counts,
      pauses: this.#pauses,
      wasEvicted,
      troubled,
    };
    this.#schedule = new RenewalSchedule(parts.live, options, random, evaluate);
    this.#subscription = parts.live.events$.subscribe({
      next: (event) => {
        this.#learn(event);
      },
    });
    this.#release = parts.live.retain();
    this.#evaluate();
  }

  get state(): ReauthenticationState {
    return this.#state;
  }

  get state$(): Observable<ReauthenticationState> {
    return this.#states.asObservable();
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
    const cause = (): Error | undefined => this.#internals.live.status.error;
    const { waiter, settled } = this.#waiters.add(minValidityMs, timeoutMs, signal, cause);
    this.#answer([waiter]);
    this.#pursue();
    return settled;
  }

  /** Says whether it was the current one. */
  reject(digest: string, reason: string | undefined): boolean {
    const current = this.#assessment.reject(digest, reason);
    this.#evaluate();
    return current;
  }

  /** Starts nothing new, lets what is under way finish for `drainMs`, and gives it up then. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cooldown.end();
    this.#schedule.cancel();
    for (const demand of this.#waiters) demand.reject(new ClosedError());
    const underWay = this.#asking ?? this.#run?.done;
    if (underWay !== undefined) {
      const { clock } = this.#internals.backend;
      const late = (): Error => new ClosedError();
      await withDeadline(clock, underWay, this.#options.drainMs, late).catch(() => undefined);
    }
    this.#pauses.end();
    // What is done by now is not aborted: its caller may still hold on to the signal.
    this.#run?.attempt.abandon();
    this.#subscription.unsubscribe();
    this.#release();
    this.#show({ type: 'closed' });
    this.#states.complete();
  }

  #learn(event: WatchEvent<T>): void {
    if (event.type === 'status') {
      // Redis is back; the pause was only for its sake.
      if (event.status.link !== 'live' || this.#unreachable === 0) return;
      this.#unreachable = 0;
      this.#cooldown.end();
    }
    if (event.type === 'state' && event.change !== undefined)
      this.#assessment.changed(event.change);
    // Whoever waits for this very end need not wait any longer.
    if (event.type === 'attempt') this.#cooldown.end();
    this.#evaluate();
  }

  #evaluate(): void {
    if (this.#closed) return;
    const standing = this.#assessment;
    const over = standing.replaced();
    if (over !== undefined) this.#clearFailure(over.id);
    this.#schedule.follow(standing.present);
    this.#answer(this.#waiters);
    this.#pursue();
  }

  #answer(demands: Iterable<Waiter<T>>): void {
    const { state } = this.#assessment;
    for (const demand of demands) {
      begin(demand, state);
      this.#assessment.answer(demand);
    }
  }

  #pursue(): void {
    const standing = this.#assessment;
    if (this.#asking !== undefined || this.#run !== undefined || standing.fatal !== undefined)
      return;
    const need = this.#need();
    if (need === undefined) {
      this.#cooldown.end();
      this.#show({ type: 'idle' });
    } else if (!this.#cooldown.lasts) {
      const turn = this.#options.turns?.acquire();
      this.#asking = turn === undefined ? this.#ask(need) : turn.then(() => this.#askInTurn());
    }
  }

  #need(): RenewalReason<T> | undefined {
    return this.#assessment.reasonToRenew(this.#waiters.size > 0, (one) =>
      this.#schedule.isDue(one),
    );
  }

  /** Others came first; meanwhile the need may be gone. */
  async #askInTurn(): Promise<void> {
    const need = this.#closed ? undefined : this.#need();
    if (need !== undefined) return this.#ask(need);
    this.#asking = undefined;
    this.#options.turns?.release();
    this.#evaluate();
  }

  /** What stood in the way of the credentials before does not of these. */
  #clearFailure(id: string): void {
    this.#cooldown.end();
    clearFailure(this.#context, id);
  }

  async #ask(need: RenewalReason<T>): Promise<void> {
    const { backend, key } = this.#internals;
    const { leaseMs, minIntervalMs, turns } = this.#options;
    const id = (this.#id ??= `${this.#name}:${String((this.#ids += 1))}`);
    const asked = { generation: this.#assessment.generation, at: backend.clock.monotonic() };
    const { clearedBefore } = this.#assessment;
    const endsAt = need.snapshot?.expiresAt;
    const start = await this.#context.attempts
      .start({ key, id, leaseMs, minIntervalMs, endsAt, clearedBefore })
      .catch((error: unknown) => ({ type: 'unreached', error }) as const);
    this.#asking = undefined;
    if (start.type === 'unreached') this.#unreached(start.error);
    else {
      this.#id = undefined;
      this.#unreachable = 0;
      await this.#follow(start, need, asked);
    }
    if (this.#run === undefined) turns?.release();
    // What was needed when it was asked for may not be any longer.
    this.#evaluate();
  }

  #follow(
    start: AttemptStart,
    need: RenewalReason<T>,
    asked: LeaseRequest,
  ): Promise<void> | undefined {
    if (start.type === 'started') {
      if (this.#closed) return releaseLease(this.#context, start.record);
      this.#begin(start.record, need, asked.at);
      return undefined;
    }
    if (this.#closed) return undefined;
    const outdated = asked.generation !== this.#assessment.generation;
    if (start.type === 'cleared') {
      if (!outdated) this.#assessment.wasCleared();
      // This node may not have seen yet that nothing is stored.
      void this.#internals.live.refreshed();
      this.#cooldown.begin(this.#options.minIntervalMs);
      return undefined;
    }
    const { record, leftMs } = start;
    const { number: attempt, instance, oauthError, failures } = record;
    const until = this.#internals.backend.clock.now() + leftMs;
    switch (start.type) {
      case 'held':
        this.#cooldown.begin(leftMs);
        this.#show({ type: 'waiting', instance, attempt, until });
        break;
      case 'early':
        this.#cooldown.begin(leftMs);
        this.#show({ type: 'backing-off', attempt, failures, nextAt: until, error: undefined });
        break;
      case 'fatal':
        if (outdated) this.#clearFailure(record.id);
        else {
          this.#assessment.failed(record);
          this.#show({ type: 'failed', attempt, instance, oauthError });
        }
        break;
    }
    return undefined;
  }

  #begin(record: AttemptRecord, need: RenewalReason<T>, askedAt: number): void {
    const attempt = new Attempt(this.#context, need, record, askedAt);
    const since = this.#internals.backend.clock.now();
    const done = attempt.run().then(() => {
      this.#run = undefined;
      this.#options.turns?.release();
      // What is still needed is asked for again, and the record tells how to go on.
      this.#evaluate();
    });
    this.#run = { attempt, done };
    const { cause } = need;
    const { number } = record;
    this.#show({ type: 'authenticating', attempt: number, cause, since, error: undefined });
  }

  #trouble(attempt: number, error: unknown): void {
    const { state } = this;
    // What an attempt brings after its deadline is nothing that this node still shows.
    if (state.type === 'authenticating' && state.attempt === attempt)
      this.#show({ ...state, error: showableError(error) });
  }

  #unreached(error: unknown): void {
    if (this.#closed) return;
    this.#unreachable += 1;
    const { backend } = this.#internals;
    const pauseMs = pauseAfter(this.#unreachable, this.#options.backOff, backend.random);
    this.#cooldown.begin(pauseMs);
    this.#show({
      type: 'backing-off',
      attempt: undefined,
      failures: 0,
      nextAt: backend.clock.now() + pauseMs,
      error: showableError(error),
    });
  }

  /** Last of all that a step does: whoever is told may ask for credentials, or close. */
  #show(state: ReauthenticationState): void {
    if (this.state.type === 'idle' && state.type === 'idle') return;
    this.#state = state;
    this.#states.emit(state);
  }
}
