import type { Observable } from 'rxjs';
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
   * Reads what is stored now. Does not judge whether it is still valid.
   *
   * @returns the credentials, a private copy; `undefined` when nothing is stored or when the bytes cannot be decoded
   * @throws UnavailableError, RefusedError, ClosedError
   */
  load(): Promise<T | undefined>;

  /**
   * Stores credentials, over whatever was stored.
   *
   * @throws EncodeError, InvalidOptionError, ConflictError, UnreadableError (the key holds another Redis type), UnavailableError, RefusedError, OutcomeUnknownError, ClosedError
   */
  save(credentials: T, options?: SaveOptions<T>): Promise<SaveReceipt>;

  /**
   * Removes what is stored. Removing nothing is fine.
   *
   * @returns whether something was removed
   * @throws InvalidOptionError, ConflictError, UnreadableError (the key holds another Redis type), UnavailableError, RefusedError, OutcomeUnknownError, ClosedError
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
   * How long Redis keeps the bytes: seconds (whole, from 1), `'keep'` for the time left to what is replaced, `'none'` for no
   * end. Default: the store's `ttlSeconds` option, without that `'none'`.
   */
  readonly ttlSeconds?: number | 'keep' | 'none' | undefined;
  /**
   * Saves only if exactly the bytes behind this snapshot are still stored (compare-and-set), or with `'absent'` only if nothing
   * is; otherwise rejects with a `ConflictError`. Default: saves over anything.
   */
  readonly onlyIf?: CredentialSnapshot<T> | 'absent' | undefined;
  /** Told to other processes in their `saved` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /**
   * Resolves only when so many replicas have the write, or after `timeoutMs`; a whole number from 1 to 1,000. The receipt tells the
   * number reached. Too few are no error, because the write has happened. Default: waits for none.
   */
  readonly replicas?: number | undefined;
  /** How long to wait for `replicas`, in milliseconds from 1 to 60,000. Default 1,000. */
  readonly replicaTimeoutMs?: number | undefined;
  /** Stops waiting. A write that has been sent may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Options of one `clear`.
 *
 * @public
 */
export interface ClearOptions<T = unknown> {
  /** Told to other processes in their `cleared` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /** Clears only if exactly the bytes behind this snapshot are still stored; otherwise rejects with a `ConflictError`. */
  readonly onlyIf?: CredentialSnapshot<T> | undefined;
  /** Stops waiting. A removal that has been sent may still happen. */
  readonly signal?: AbortSignal | undefined;
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
  /** How long to wait for `replicas` once it is written, as in {@link SaveOptions}. */
  readonly replicaTimeoutMs?: number | undefined;
  /** Stops waiting and trying. */
  readonly signal?: AbortSignal | undefined;
  /** How often to start over when somebody else wrote in between, from 1; default 10. */
  readonly maxAttempts?: number | undefined;
}

/**
 * How far a write got beyond the Redis that answered it.
 *
 * @public
 */
export interface ReplicationReceipt {
  /** How many replicas are known to have the write; there may be more. Only if `replicas` was asked for. */
  readonly replicas?: number | undefined;
  /**
   * Why Redis did not tell how many: refused, cut off, or no answer within `timeoutMs`. Then `replicas` is what was known by then, mostly
   * 0. `undefined` when Redis told, also if that were too few.
   */
  readonly replicasError?: RefusedError | UnavailableError | undefined;
}

/**
 * What became of a `save`.
 *
 * @public
 */
export interface SaveReceipt extends ReplicationReceipt {
  /** Whether the write was announced to other processes; `false` when Redis refuses this process the channel. */
  readonly announced: boolean;
}

/**
 * What became of an `update`. Its `credentials` can be read by name, but are left out of `console.log`, `util.inspect`, `JSON.stringify` and
 * spreading.
 *
 * @public
 */
export interface UpdateReceipt<T> extends ReplicationReceipt {
  /** Whether something was written; `false` when the function returned `undefined`. */
  readonly written: boolean;
  /** What is stored now: the new credentials, or without a write those that were found. */
  readonly credentials: T | undefined;
  /** How many times the function was called. */
  readonly attempts: number;
}

/**
 * Options of `ready()`.
 *
 * @public
 */
export interface ReadyOptions {
  /** Stops waiting; the store goes on watching. */
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
  /** Every new status; listening to it starts no watch. */
  readonly status: (status: StoreStatus) => unknown;
};

/**
 * A credential store that tells what happens to its credential, whoever caused it.
 *
 * Watching starts with the first `ready()`, listener, iteration or subscription, and ends when the last of them is gone; `ready()`
 * holds on until `close()`. `status$`, `current` and listening to `'status'` start nothing.
 *
 * @example
 * ```ts
 * import { Redis } from 'ioredis';
 * import { RedisCredentialStore } from 'credstream';
 *
 * const redis = new Redis();
 * const store = new RedisCredentialStore<{ apiKey: string }>(redis, { key: 'billing:api-key' });
 * store.changes$.subscribe((change) => {
 *   console.log(change.type, change.origin);
 * });
 * ```
 * @public
 */
export interface ObservableCredentialStore<T> extends CredentialStore<T>, AsyncDisposable {
  /** What names the credential in changes and snapshots. */
  readonly id: string;

  /**
   * Reads what is stored now, with its end and what `onlyIf` needs. Starts no watch and does not judge validity.
   *
   * @returns `undefined` when nothing is stored or when the bytes cannot be decoded
   * @throws UnavailableError, RefusedError, ClosedError
   */
  read(): Promise<CredentialSnapshot<T> | undefined>;

  /**
   * Reads, lets `fn` say what to store instead, and writes it only if nobody wrote in between; else starts over.
   *
   * @param fn - gets a private copy of what is stored; returns the new credentials, or `undefined` to leave everything as it is
   * @throws UnreadableError when what is stored cannot be decoded, ConflictError after `maxAttempts`, what `fn` throws, and what `save` throws
   */
  update(
    fn: (current: T | undefined) => T | undefined | Promise<T | undefined>,
    options?: UpdateOptions,
  ): Promise<UpdateReceipt<T>>;

  /**
   * Changes from now on. Hot: a late subscriber gets no past ones. Emits a change only against a known earlier state, never errors,
   * completes on `close()`.
   */
  readonly changes$: Observable<CredentialChange<T>>;

  /**
   * The valid credentials, `undefined` while there are none. Silent until the first observation and while withheld; then the value at
   * once, then every new one. Never errors, completes on `close()`.
   */
  readonly credentials$: Observable<T | undefined>;

  /** The state at once, then every new one. Never errors, completes on `close()`. */
  readonly state$: Observable<CredentialState<T>>;

  /** The status at once, then every new one. Starts no watch. Never errors, completes with `closed` on `close()`. */
  readonly status$: Observable<StoreStatus>;

  /**
   * Emits each credential once, `leadMs` milliseconds before its end, or at once when less is left. Again after its end moved later; never
   * for one that has expired. Cold. Never errors, completes on `close()`.
   *
   * @param leadMs - from 0 to 2^31-1
   */
  expiring$(leadMs: number): Observable<CredentialSnapshot<T>>;

  /**
   * The credential from memory: no promise, no input or output, never past its end. `undefined` while nothing is watched, and when it is
   * absent, expired, unreadable or withheld.
   */
  readonly current: CredentialSnapshot<T> | undefined;

  /** The state as `state$` would emit it now. Starts no watch. */
  readonly state: CredentialState<T>;

  /** The status as `status$` would emit it now. */
  readonly status: StoreStatus;

  /**
   * Starts watching, resolves when live, and keeps watching until `close()`.
   *
   * @throws TimeoutError when that takes longer than `timeoutMs` (its `cause` says why, the store keeps trying), ClosedError, the
   * signal's reason
   */
  ready(options?: ReadyOptions): Promise<void>;

  /**
   * Calls `listener` on every event of a type, and keeps watching until `off`. What it throws or rejects goes to `onCallbackError`.
   *
   * @returns this store
   */
  on<Type extends keyof CredentialEvents<T>>(type: Type, listener: CredentialEvents<T>[Type]): this;

  /** Like `on`, for one event. */
  once<Type extends keyof CredentialEvents<T>>(
    type: Type,
    listener: CredentialEvents<T>[Type],
  ): this;

  /** Takes a listener back; does nothing for one that is not there. */
  off<Type extends keyof CredentialEvents<T>>(
    type: Type,
    listener: CredentialEvents<T>[Type],
  ): this;

  /**
   * Iterates over changes from now on; ends on `close()`. A slow consumer's buffer is bounded: past 1,024 changes the oldest of one credential
   * are merged, so that the latest is never lost.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<CredentialChange<T>>;

  /**
   * Ends every stream, lets writes under way finish within `closeTimeoutMs`, and lets go of every connection and timer. The caller's
   * client stays open. Idempotent, never rejects.
   */
  close(): Promise<void>;
}
