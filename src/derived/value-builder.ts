import type { CredentialSnapshot } from '../credential/snapshot.js';
import { pauseAfter } from '../time/back-off.js';
import { TimeoutError } from '../errors.js';
import { setLongTimeout } from '../time/timers.js';
import { BuiltValue } from './built-value.js';
import type { DeriveContext, ResolvedDeriveOptions } from './options.js';
import type { FailedDerivedState } from './state.js';
import { ValueSignal } from './lifetime.js';
import { RETRY_BACK_OFF } from './retries.js';

/** How far the building from one credential is. `pending`: `create` is to be called as soon as that is allowed. */
export type BuildProgress =
  | { readonly type: 'pending' }
  | { readonly type: 'building'; readonly attempt: number }
  | Omit<FailedDerivedState, 'servesPrevious'>
  | { readonly type: 'ready'; readonly since: number };

/** Whom a builder works for. */
export interface BuildOwner<T, V> {
  readonly options: ResolvedDeriveOptions<V>;
  create(credentials: T, context: DeriveContext): V | PromiseLike<V>;
  /** Told of each value, wanted or too late, so that none is forgotten on closing. */
  given(built: BuiltValue<V>): void;
  progressed(): void;
}

/** One call of `create`. */
class Attempt {
  readonly lifetime: ValueSignal;
  readonly settled: Promise<void>;
  settle: () => void = () => undefined;
  cancelDeadline: () => void = () => undefined;

  constructor(withdrawal: AbortSignal) {
    this.lifetime = new ValueSignal(withdrawal);
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
  }
}

/** Builds the value of one credential, again and again until that succeeds. */
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

  /** Calls `create`, if it is time for that. */
  start(): void {
    if (this.#progress.type !== 'pending') return;
    const { clock, createTimeoutMs } = this.#owner.options;
    const { id, credentials, expiresAt, signal: withdrawal } = this.#snapshot;
    const attempt = new Attempt(withdrawal);
    // All set before the call, because `create` may come back to us.
    this.#progress = { type: 'building', attempt: this.#failures + 1 };
    this.#attempt = attempt;
    attempt.cancelDeadline = setLongTimeout(clock, createTimeoutMs, () => {
      // After a blocked event loop the answer may be in already, just not read.
      clock.nextTurn(() => {
        this.#fail(
          attempt,
          'timeout',
          new TimeoutError('derive(): create did not settle', createTimeoutMs),
        );
      });
    });
    const { signal } = attempt.lifetime;
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

  /** Builds no more, and lets what was built go. Resolves when a call that is still under way has been dealt with. */
  async retire(reason?: unknown): Promise<void> {
    this.#cancelRetry();
    this.#built?.retire();
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#endAttempt();
    attempt.lifetime.end(reason);
    await attempt.settled;
  }

  #succeed(attempt: Attempt, value: V): void {
    const built = new BuiltValue(value, attempt.lifetime, this.#owner.options);
    this.#owner.given(built);
    if (attempt !== this.#attempt) {
      built.end();
      return;
    }
    this.#endAttempt();
    this.#built = built;
    this.#progress = { type: 'ready', since: this.#owner.options.clock.now() };
    this.#owner.progressed();
  }

  #fail(attempt: Attempt, reason: FailedDerivedState['reason'], error: unknown): void {
    if (attempt !== this.#attempt) return;
    this.#endAttempt();
    attempt.lifetime.end(reason === 'timeout' ? error : undefined);
    const { clock, random, onCallbackError } = this.#owner.options;
    this.#failures += 1;
    const delayMs = pauseAfter(this.#failures, RETRY_BACK_OFF, random);
    const nextAt = Math.round(clock.now() + delayMs);
    this.#progress = { type: 'failed', reason, failures: this.#failures, nextAt };
    this.#cancelRetry = setLongTimeout(clock, delayMs, () => {
      this.#progress = { type: 'pending' };
      this.#owner.progressed();
    });
    this.#owner.progressed();
    onCallbackError(error, 'create of a derived value');
  }

  #endAttempt(): void {
    this.#attempt?.cancelDeadline();
    this.#attempt = undefined;
  }
}
