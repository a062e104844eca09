import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { Clock } from '../time/clock.js';
import { pauseAfter, type BackOff } from '../time/back-off.js';
import { TimeoutError } from '../errors.js';
import { setLongTimeout } from '../time/timers.js';
import { BuiltValue, ValueSignal } from './built-value.js';
import type { DeriveContext, ResolvedDeriveOptions } from './options.js';
import type { FailedDerivedState } from './state.js';

/** The pauses between two calls of `create` for one credential. */
const CREATE_BACK_OFF: BackOff = { initialMs: 1_000, maxMs: 60_000 };

/** The progress of the build for one credential. `pending`: `create` is called as soon as the store vouches for the credential. */
export type BuildProgress =
  | { readonly type: 'pending' }
  | { readonly type: 'building'; readonly attempt: number }
  | Omit<FailedDerivedState, 'servesPrevious'>
  | { readonly type: 'ready'; readonly since: number };

/** The parts that every build uses: the caller's function and options, and the clock and random numbers of the store's backend. */
export interface BuildContext<T, V> {
  readonly options: ResolvedDeriveOptions<V>;
  readonly clock: Clock;
  readonly random: () => number;
  create(credentials: T, context: DeriveContext): V | PromiseLike<V>;
}

/** The derived value that a builder works for. */
export interface BuildOwner<T, V> extends BuildContext<T, V> {
  /** Receives each value, even a late one, so that `close()` disposes of all. */
  add(built: BuiltValue<V>): void;
  /** The progress of a builder has changed, or a credential that was replaced has been withdrawn. */
  progressed(): void;
}

/** One call of `create`. */
class Attempt {
  readonly valueSignal: ValueSignal;
  readonly settled: Promise<void>;
  settle: () => void = () => undefined;
  cancelDeadline: () => void = () => undefined;

  constructor(withdrawal: AbortSignal) {
    this.valueSignal = new ValueSignal(withdrawal);
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
  }
}

/** Builds the value of one credential; calls `create` again until it succeeds. */
export class ValueBuilder<T, V> {
  readonly #owner: BuildOwner<T, V>;
  #snapshot: CredentialSnapshot<T>;
  #progress: BuildProgress = { type: 'pending' };
  #failures = 0;
  #attempt: Attempt | undefined;
  #built: BuiltValue<V> | undefined;
  #cancelRetry: () => void = () => undefined;

  constructor(owner: BuildOwner<T, V>, snapshot: CredentialSnapshot<T>) {
    this.#owner = owner;
    this.#snapshot = snapshot;
  }

  get snapshot(): CredentialSnapshot<T> {
    return this.#snapshot;
  }

  get progress(): BuildProgress {
    return this.#progress;
  }

  get built(): BuiltValue<V> | undefined {
    return this.#built;
  }

  /** The same credential has another end. */
  renew(snapshot: CredentialSnapshot<T>): void {
    this.#snapshot = snapshot;
  }

  /** Calls `create` if that is due. */
  start(): void {
    if (this.#progress.type !== 'pending') return;
    const { clock, options } = this.#owner;
    const { createTimeoutMs } = options;
    const { id, credentials, expiresAt, signal: withdrawal } = this.#snapshot;
    const attempt = new Attempt(withdrawal);
    // Everything is set before the call, because `create` may call back.
    this.#progress = { type: 'building', attempt: this.#failures + 1 };
    this.#attempt = attempt;
    attempt.cancelDeadline = setLongTimeout(clock, createTimeoutMs, () => {
      // After a blocked event loop the answer may have arrived without having been read.
      clock.nextTurn(() => {
        this.#fail(
          attempt,
          'timeout',
          new TimeoutError('derive(): create did not settle', createTimeoutMs),
        );
      });
    });
    const { signal } = attempt.valueSignal;
    void new Promise<V>((resolve) => {
      resolve(this.#owner.create(credentials, { id, expiresAt, signal }));
    })
      .then(
        (value) => {
          this.#succeed(attempt, value);
        },
        (error: unknown) => {
          this.#fail(attempt, 'threw', error);
        },
      )
      .finally(attempt.settle);
  }

  /** Ends the build, and retires the value. Resolves when a call under way has settled; its late value is disposed of. */
  async retire(reason?: unknown): Promise<void> {
    this.#cancelRetry();
    this.#built?.retire();
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#endAttempt();
    attempt.valueSignal.end(reason);
    await attempt.settled;
  }

  #succeed(attempt: Attempt, value: V): void {
    const { options, clock } = this.#owner;
    const built = new BuiltValue(value, attempt.valueSignal, options, clock);
    this.#owner.add(built);
    if (attempt !== this.#attempt) {
      built.end();
      return;
    }
    this.#endAttempt();
    this.#built = built;
    this.#progress = { type: 'ready', since: clock.now() };
    this.#owner.progressed();
  }

  #fail(attempt: Attempt, reason: FailedDerivedState['reason'], error: unknown): void {
    if (attempt !== this.#attempt) return;
    this.#endAttempt();
    attempt.valueSignal.end(reason === 'timeout' ? error : undefined);
    const { clock, random, options } = this.#owner;
    this.#failures += 1;
    const delayMs = pauseAfter(this.#failures, CREATE_BACK_OFF, random);
    const nextAt = Math.round(clock.now() + delayMs);
    this.#progress = { type: 'failed', reason, failures: this.#failures, nextAt };
    this.#cancelRetry = setLongTimeout(clock, delayMs, () => {
      this.#progress = { type: 'pending' };
      this.#owner.progressed();
    });
    this.#owner.progressed();
    options.onCallbackError(error, 'create of a derived value');
  }

  #endAttempt(): void {
    this.#attempt?.cancelDeadline();
    this.#attempt = undefined;
  }
}
