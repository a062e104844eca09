import { randomUUID } from 'node:crypto';
import { BehaviorSubject, type Observable, type Subscription } from 'rxjs';
import type { AttemptRecord, AttemptStart } from '../backend/attempts.js';
import { pauseAfter } from '../time/back-off.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { ClosedError } from '../errors.js';
import type { Fact } from '../watching/event-source.js';
import type { StoreParts } from '../stores/store-internals.js';
import { withDeadline } from '../time/timers.js';
import { AttemptRun } from './attempt-run.js';
import { begin, Demands, type Demand } from './demands.js';
import { absolve, giveBack } from './give-back.js';
import { Lead } from './lead.js';
import type { Asked, AttemptContext, Counter, Need } from './need.js';
import { Pauses } from './pauses.js';
import type { ResolvedReauthenticatorOptions } from './reauthentication-options.js';
import type { ReauthenticationState } from './reauthentication-state.js';
import { Respite } from './respite.js';
import { Standing } from './standing.js';
import { visible } from './visible-error.js';

/**
 * Decides when this node asks for the lease, and what it does with the answer. Whatever happens (a new state, a hint, a demand, a timer)
 * ends in `#evaluate`, which compares what is needed with what is under way.
 */
export class Coordinator<T> {
  readonly #parts: StoreParts<T>;
  readonly #options: ResolvedReauthenticatorOptions<T>;
  readonly #context: AttemptContext<T>;
  readonly #state$ = new BehaviorSubject<ReauthenticationState>({ type: 'idle' });
  readonly #standing: Standing<T>;
  readonly #demands: Demands<T>;
  readonly #lead: Lead<T>;
  readonly #pauses: Pauses;
  readonly #respite: Respite;
  readonly #facts: Subscription;
  readonly #release: () => void;
  readonly #name = randomUUID();
  #ids = 0;
  /** Kept until an answer comes, because asking again by the same id finds a lease whose grant was lost. */
  #id: string | undefined;
  #asking: Promise<void> | undefined;
  #run: { readonly attempt: AttemptRun<T>; readonly done: Promise<void> } | undefined;
  /** How often in a row Redis could not be asked. */
  #unreachable = 0;
  #closed = false;

  constructor(parts: StoreParts<T>, options: ResolvedReauthenticatorOptions<T>, counts: Counter) {
    this.#parts = parts;
    this.#options = options;
    const { clock, random } = parts.backend;
    const evaluate = (): void => {
      this.#evaluate();
    };
    this.#pauses = new Pauses(clock);
    this.#respite = new Respite(clock, random, evaluate);
    this.#demands = new Demands(clock, evaluate);
    this.#standing = new Standing(parts, options);
    const wasEvicted = (): boolean => this.#standing.wasEvicted;
    const troubled = (attempt: number, error: unknown): void => {
      this.#trouble(attempt, error);
    };
    this.#context = { parts, options, counts, pauses: this.#pauses, wasEvicted, troubled };
    this.#lead = new Lead(parts.live, options, random, evaluate);
    this.#facts = parts.live.facts$.subscribe({
      next: (fact) => {
        this.#learn(fact);
      },
    });
    this.#release = parts.live.retain();
    this.#evaluate();
  }

  get state(): ReauthenticationState {
    return this.#state$.value;
  }

  get state$(): Observable<ReauthenticationState> {
    return this.#state$.asObservable();
  }

  /** Valid credentials from memory, if they stay valid for so long. */
  valid(minValidityMs: number): CredentialSnapshot<T> | undefined {
    return this.#standing.valid(minValidityMs);
  }

  demand(
    minValidityMs: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<CredentialSnapshot<T>> {
    const cause = (): Error | undefined => this.#parts.live.status.error;
    const { demand, settled } = this.#demands.add(minValidityMs, timeoutMs, signal, cause);
    this.#answer([demand]);
    this.#pursue();
    return settled;
  }

  /** Says whether it was the current one. */
  reject(digest: string, reason: string | undefined): boolean {
    const current = this.#standing.reject(digest, reason);
    this.#evaluate();
    return current;
  }

  /** Starts nothing new, lets what is under way finish for `drainMs`, and gives it up then. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#respite.end();
    this.#lead.cancel();
    for (const demand of this.#demands) demand.reject(new ClosedError());
    const underWay = this.#asking ?? this.#run?.done;
    if (underWay !== undefined) {
      const { clock } = this.#parts.backend;
      const late = (): Error => new ClosedError();
      await withDeadline(clock, underWay, this.#options.drainMs, late).catch(() => undefined);
    }
    this.#pauses.end();
    // What is done by now is not aborted: its caller may still hold on to the signal.
    this.#run?.attempt.abandon();
    this.#facts.unsubscribe();
    this.#release();
    this.#state$.next({ type: 'closed' });
    this.#state$.complete();
  }

  #learn(fact: Fact<T>): void {
    if (fact.type === 'status') {
      // Redis is back; the pause was only for its sake.
      if (fact.status.link !== 'live' || this.#unreachable === 0) return;
      this.#unreachable = 0;
      this.#respite.end();
    }
    if (fact.type === 'change') this.#standing.changed(fact.change);
    // Whoever waits for this very end need not wait any longer.
    if (fact.type === 'attempt') this.#respite.end();
    // Why it is absent is told next.
    if (fact.type === 'state' && fact.state.type === 'absent')
      queueMicrotask(() => {
        this.#evaluate();
      });
    else this.#evaluate();
  }

  #evaluate(): void {
    if (this.#closed) return;
    const standing = this.#standing;
    const over = standing.replaced();
    if (over !== undefined) this.#absolve(over.id);
    this.#lead.follow(standing.present);
    this.#answer(this.#demands);
    this.#pursue();
  }

  #answer(demands: Iterable<Demand<T>>): void {
    const { state } = this.#standing;
    for (const demand of demands) {
      begin(demand, state);
      this.#standing.answer(demand);
    }
  }

  #pursue(): void {
    const standing = this.#standing;
    if (this.#asking !== undefined || this.#run !== undefined || standing.fatal !== undefined)
      return;
    const need = this.#need();
    if (need === undefined) {
      this.#respite.end();
      this.#show({ type: 'idle' });
    } else if (!this.#respite.lasts) {
      const turn = this.#options.turns?.take();
      this.#asking = turn === undefined ? this.#ask(need) : turn.then(() => this.#askInTurn());
    }
  }

  #need(): Need<T> | undefined {
    return this.#standing.need(this.#demands.size > 0, (one) => this.#lead.isDue(one));
  }

  /** Others came first; meanwhile the need may be gone. */
  async #askInTurn(): Promise<void> {
    const need = this.#closed ? undefined : this.#need();
    if (need !== undefined) return this.#ask(need);
    this.#asking = undefined;
    this.#options.turns?.give();
    this.#evaluate();
  }

  /** What stood in the way of the credentials before does not of these. */
  #absolve(id: string): void {
    this.#respite.end();
    absolve(this.#parts, id);
  }

  async #ask(need: Need<T>): Promise<void> {
    const { backend, key } = this.#parts;
    const { leaseMs, minIntervalMs, turns } = this.#options;
    const id = (this.#id ??= `${this.#name}:${String((this.#ids += 1))}`);
    const asked = { version: this.#standing.version, at: backend.clock.monotonic() };
    const { clearedBefore } = this.#standing;
    const endsAt = need.snapshot?.expiresAt;
    const start = await backend.attempts
      .start({ key, id, leaseMs, minIntervalMs, endsAt, clearedBefore })
      .catch((error: unknown) => ({ type: 'unreached', error }) as const);
    this.#asking = undefined;
    if (start.type === 'unreached') this.#unreached(start.error);
    else {
      this.#id = undefined;
      this.#unreachable = 0;
      await this.#follow(start, need, asked);
    }
    if (this.#run === undefined) turns?.give();
    // What was needed when it was asked for may not be any longer.
    this.#evaluate();
  }

  #follow(start: AttemptStart, need: Need<T>, asked: Asked): Promise<void> | undefined {
    if (start.type === 'started') {
      if (this.#closed) return giveBack(this.#parts, start.record);
      this.#begin(start.record, need, asked.at);
      return undefined;
    }
    if (this.#closed) return undefined;
    const outdated = asked.version !== this.#standing.version;
    if (start.type === 'cleared') {
      if (!outdated) this.#standing.wasCleared();
      // This node may not have seen yet that nothing is stored.
      void this.#parts.live.refreshed();
      this.#respite.begin(this.#options.minIntervalMs);
      return undefined;
    }
    const { record, leftMs } = start;
    const { number: attempt, node, problem, failures } = record;
    const until = this.#parts.backend.clock.now() + leftMs;
    switch (start.type) {
      case 'held':
        this.#respite.begin(leftMs);
        this.#show({ type: 'waiting', holder: node, attempt, until });
        break;
      case 'early':
        this.#respite.begin(leftMs);
        this.#show({ type: 'backing-off', attempt, failures, nextAt: until, error: undefined });
        break;
      case 'fatal':
        if (outdated) this.#absolve(record.id);
        else {
          this.#standing.failed(record);
          this.#show({ type: 'failed', attempt, node, problem });
        }
        break;
    }
    return undefined;
  }

  #begin(record: AttemptRecord, need: Need<T>, askedAt: number): void {
    const attempt = new AttemptRun(this.#context, need, record, askedAt);
    const since = this.#parts.backend.clock.now();
    const done = attempt.run().then(() => {
      this.#run = undefined;
      this.#options.turns?.give();
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
      this.#show({ ...state, error: visible(error) });
  }

  #unreached(error: unknown): void {
    if (this.#closed) return;
    this.#unreachable += 1;
    const { backend } = this.#parts;
    const pauseMs = pauseAfter(this.#unreachable, this.#options.backOff, backend.random);
    this.#respite.begin(pauseMs);
    this.#show({
      type: 'backing-off',
      attempt: undefined,
      failures: 0,
      nextAt: backend.clock.now() + pauseMs,
      error: visible(error),
    });
  }

  /** Last of all that a step does: whoever is told may ask for credentials, or close. */
  #show(state: ReauthenticationState): void {
    if (this.state.type === 'idle' && state.type === 'idle') return;
    this.#state$.next(state);
  }
}
