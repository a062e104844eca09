import type { Observable } from 'rxjs';
import type { DerivedState } from './state.js';

/**
 * Options of `get` and `use`.
 *
 * @public
 */
export interface DerivedWaitOptions {
  /** Stops waiting; building goes on. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the value, in milliseconds; default the option `getTimeoutMs`. `Infinity`: without end. */
  readonly timeoutMs?: number | undefined;
}

/**
 * A value built from the credential of a store, and built anew whenever the credential is another one; made by `derive`.
 *
 * @remarks
 * Never served: a value whose credential is past its end, was withdrawn, or is withheld by the store. After a rotation the value before
 * goes on being served until the new one is ready, or until its own credential is withdrawn or about to end.
 *
 * The store is watched from the first `get`, `use` or subscription on (with `eager` at once), until `close()`.
 *
 * @public
 */
export interface Derived<V> extends AsyncDisposable {
  /**
   * The value; waits until there is one. Nobody knows for how long the caller goes on using it: once replaced, a value that was handed
   * out is kept for `graceMs`. Prefer `use` for what takes long.
   *
   * @throws TimeoutError (its `cause` says what is wrong with the store's link, if anything), ClosedError, the signal's reason,
   * InvalidOptionError. Never because `create` failed.
   */
  get(options?: DerivedWaitOptions): Promise<V>;

  /**
   * Calls `fn` with the value, which is not disposed before `fn` has settled, or `graceMs` after it was replaced. May be nested.
   *
   * @returns what `fn` returns
   * @throws what `fn` throws, and what `get` throws
   */
  use<R>(fn: (value: V) => R | PromiseLike<R>, options?: DerivedWaitOptions): Promise<R>;

  /** The value from memory: no promise, starts nothing. `undefined` when there is none that may be served. */
  readonly current: V | undefined;

  /**
   * The value at once, then every new one; `undefined` while none may be served. Subscribing is a use. Never errors, completes on `close()`.
   */
  readonly value$: Observable<V | undefined>;

  /** The state as `state$` would emit it now. Starts nothing. */
  readonly state: DerivedState;

  /** The state at once, then every new one. Watches the store, but builds nothing. Never errors, completes with `closed` on `close()`. */
  readonly state$: Observable<DerivedState>;

  /**
   * Serves nothing from now on, waits for every running `use`, then disposes of what was built; after `closeTimeoutMs` it
   * waits no longer. A `create` under way is aborted, and disposed of when it gives something after all. Happens by itself when the
   * store is closed. Idempotent, never rejects.
   */
  close(): Promise<void>;
}
