import type { Observable } from 'rxjs';
import type { DerivedState } from './state.js';

/**
 * Options of `get` and `use`.
 *
 * @public
 */
export interface DerivedWaitOptions {
  /** Stops the wait; the build goes on. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the value, in milliseconds; default the option `getTimeoutMs`. `Infinity`: without end. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A value built from the credential of a store, and built anew for each new credential; made by `derive`.
 *
 * @remarks
 * A value is never served when its credential is past its end, withdrawn, or withheld by the store. After a rotation the previous value
 * is served until the new value is ready, or until its own credential is withdrawn or ends.
 *
 * The store is watched from the first `get`, `use` or subscription on (with `eager` at once), until `close()`.
 *
 * @public
 */
export interface Derived<V> extends AsyncDisposable {
  /**
   * The value; waits until there is one. The end of the caller's work with the value is not known, therefore a replaced value is kept for
   * `graceMs`. Prefer `use` for long work.
   *
   * @throws TimeoutError (its `cause` is the error of the store's link, if any), ClosedError, the signal's reason, InvalidOptionError. A
   *   failure of `create` is never thrown.
   */
  get(options?: DerivedWaitOptions): Promise<V>;

  /**
   * Calls `fn` with the value, which is not disposed of before `fn` has settled, or `graceMs` after its replacement. May be nested.
   *
   * @returns the result of `fn`
   * @throws the errors of `fn` and of `get`
   */
  use<R>(fn: (value: V) => R | PromiseLike<R>, options?: DerivedWaitOptions): Promise<R>;

  /** The value from memory: no promise, builds nothing. `undefined` when none may be served. */
  readonly current: V | undefined;

  /**
   * The value at once, then every new one; `undefined` while none may be served. A subscription is a use. Never errors, completes on
   * `close()`.
   */
  readonly value$: Observable<V | undefined>;

  /** The state as `state$` would emit it now. Starts no watch. */
  readonly state: DerivedState;

  /** The state at once, then every new one. Watches the store, but builds nothing. Never errors, completes with `closed` on `close()`. */
  readonly state$: Observable<DerivedState>;

  /**
   * Serves nothing from now on, waits for every running `use`, at most for `closeTimeoutMs`, then disposes of all values. The signal of a
   * `create` under way aborts, and its late result is disposed of. The end of the store closes the derived value too. Idempotent, never
   * rejects.
   */
  close(): Promise<void>;
}
