import type { CredentialChange, CredentialChangeType } from './change.js';
import type { CredentialSnapshot } from './snapshot.js';
import type { CredentialState } from './state.js';
import type { RefusedError, UnavailableError } from '../errors.js';
import type { StoreStatus } from './status.js';

/**
 * Keeps one credential: an OAuth token set, an API key, a database password … The store does not interpret it.
 *
 * @public
 */
export interface CredentialStore<T> {
  /**
   * Reads the stored credentials from Redis, without judging whether they are still valid.
   *
   * @returns the credentials, a private copy; `undefined` when nothing is stored or when the bytes cannot be decoded. A store of this package
   *   warns of bytes that it cannot decode, once per value, by `onCallbackError`; do not take `undefined` for a reason to log in and overwrite:
   *   ask `read()`
   * @throws UnavailableError, RefusedError, ClosedError
   */
  load(): Promise<T | undefined>;

  /**
   * Stores credentials, over any stored ones.
   *
   * @throws EncodeError, InvalidOptionError, ConflictError, UnreadableError (the key holds another Redis type), UnavailableError,
   *   RefusedError, OutcomeUnknownError, ClosedError
   */
  save(credentials: T, options?: SaveOptions<T>): Promise<SaveReceipt>;

  /**
   * Removes the stored credentials; succeeds also when nothing is stored.
   *
   * @returns whether something was removed
   * @throws InvalidOptionError, ConflictError, UnreadableError (the key holds another Redis type), UnavailableError, RefusedError,
   *   OutcomeUnknownError, ClosedError
   */
  clear(options?: ClearOptions<T>): Promise<boolean>;
}

/**
 * Options of one `save`.
 *
 * @public
 */
export interface SaveOptions<T = unknown> {
  /**
   * How long Redis keeps the bytes: seconds (whole, from 1), `'keep'` for the time left to the replaced bytes, `'none'` for no end.
   * Default: the store's `ttlSeconds` option, without that option `'none'`.
   */
  readonly ttlSeconds?: number | 'keep' | 'none' | undefined;
  /**
   * Saves only if exactly the bytes behind this snapshot are still stored (compare-and-set), or with `'absent'` only if nothing is;
   * otherwise rejects with a `ConflictError`. Default: saves unconditionally.
   */
  readonly onlyIf?: CredentialSnapshot<T> | 'absent' | undefined;
  /** Carried to other processes in their `saved` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /**
   * Resolves only when so many replicas have the write, or after `replicaTimeoutMs`; a whole number from 1 to 1,000. The receipt
   * carries the number that acknowledged. Too few are no error, because the write has happened. Default: waits for none.
   */
  readonly replicas?: number | undefined;
  /** How long to wait for `replicas`, in milliseconds from 1 to 60,000. Default 1,000. */
  readonly replicaTimeoutMs?: number | undefined;
  /** Stops the wait. A write that has been sent may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Options of one `clear`.
 *
 * @public
 */
export interface ClearOptions<T = unknown> {
  /** Carried to other processes in their `cleared` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /** Clears only if exactly the bytes behind this snapshot are still stored; otherwise rejects with a `ConflictError`. */
  readonly onlyIf?: CredentialSnapshot<T> | undefined;
  /** Stops the wait. A removal that has been sent may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The second argument of the function of `update`.
 *
 * @public
 */
export interface UpdateContext {
  /**
   * The instant so many seconds from now, in epoch milliseconds of the Redis server's clock, as `store.endsIn` gives it.
   *
   * @throws InvalidOptionError
   */
  readonly endsIn: (seconds: number) => number;
}

/**
 * Options of one `update`.
 *
 * @public
 */
export interface UpdateOptions {
  /** As in {@link SaveOptions}. */
  readonly ttlSeconds?: number | 'keep' | 'none' | undefined;
  /** As in {@link SaveOptions}. */
  readonly reason?: string | undefined;
  /** As in {@link SaveOptions}. */
  readonly replicas?: number | undefined;
  /** How long to wait for `replicas` once the write has happened, as in {@link SaveOptions}. */
  readonly replicaTimeoutMs?: number | undefined;
  /** Stops the wait and the attempts. */
  readonly signal?: AbortSignal | undefined;
  /** The number of attempts, from 1, when other writers write in between; default 10. */
  readonly maxAttempts?: number | undefined;
}

/**
 * The result of a `save`.
 *
 * @public
 */
export interface SaveReceipt {
  /** Whether the write was announced to other processes; `false` when Redis refuses this process the channel. */
  readonly announced: boolean;
  /** The number of replicas known to have the write; there may be more. Only if `replicas` was given. */
  readonly replicas?: number | undefined;
  /**
   * Why Redis did not give the number: refused, link lost, or no reply within `replicaTimeoutMs`. Then `replicas` is the number known by
   * then, mostly 0. `undefined` when Redis gave a number, even one that is too low.
   */
  readonly replicasError?: RefusedError | UnavailableError | undefined;
}

/**
 * The result of an `update`. Its `credentials` can be read by name, but are left out of `console.log`, `util.inspect`, `JSON.stringify` and
 * spreading.
 *
 * @public
 */
export interface UpdateReceipt<T> {
  /** Whether something was written; `false` when the function returned `undefined`. */
  readonly written: boolean;
  /** The stored credentials: the new ones, or without a write the ones that were found. */
  readonly credentials: T | undefined;
  /** How many times the function was called. */
  readonly attempts: number;
  /** The number of replicas known to have the write; there may be more. Only if `replicas` was given. */
  readonly replicas?: number | undefined;
  /**
   * Why Redis did not give the number: refused, link lost, or no reply within `replicaTimeoutMs`. Then `replicas` is the number known by
   * then, mostly 0. `undefined` when Redis gave a number, even one that is too low.
   */
  readonly replicasError?: RefusedError | UnavailableError | undefined;
}

/**
 * Options of `ready()`.
 *
 * @public
 */
export interface ReadyOptions {
  /** Stops the wait; the store goes on watching. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds; default the store's `readyTimeoutMs`. `Infinity`: without end. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Listeners by event, for `on`, `once` and `off`.
 *
 * @public
 */
export type CredentialEvents<T> = {
  readonly [Type in CredentialChangeType]: (
    change: Extract<CredentialChange<T>, { type: Type }>,
  ) => unknown;
} & {
  /** Every change. */
  readonly change: (change: CredentialChange<T>) => unknown;
  /** Every new state. */
  readonly state: (state: CredentialState<T>) => unknown;
  /** Every new status; a listener of it starts no watch. */
  readonly status: (status: StoreStatus) => unknown;
};
