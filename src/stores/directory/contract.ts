import type { Observable } from 'rxjs';
import type { BackedCredentialStore } from '../store-base.js';
import type { CredentialChange } from '../../credential/change.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import type {
  ClearOptions,
  CredentialEvents,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
} from '../../credential/contract.js';
import type { StoreStatus } from '../../credential/status.js';

/**
 * Listeners by event, for `on`, `once` and `off` of a directory.
 *
 * @public
 */
export type DirectoryEvents<T> = Omit<CredentialEvents<T>, 'state'>;

/**
 * Options of `clearAll()`.
 *
 * @public
 */
export interface ClearAllOptions {
  /** Told to other processes in each `cleared` change; at most 256 characters, not secret. */
  readonly reason?: string | undefined;
  /** How many are removed at the same time, from 1 to 1,000; default 64. */
  readonly concurrency?: number | undefined;
  /** Told after each credential, removed or not. What it throws or rejects goes to `onCallbackError`. */
  readonly onProgress?: ((progress: ClearAllProgress) => unknown) | undefined;
  /** Stops; `clearAll()` then rejects with the signal's reason. Those under way may still be removed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * How far `clearAll()` has come.
 *
 * @public
 */
export interface ClearAllProgress {
  /** The credential that was dealt with last. */
  readonly id: string;
  /** How many were removed so far. */
  readonly cleared: number;
  /** How many could not be removed so far. */
  readonly failed: number;
}

/**
 * What became of a `clearAll()`.
 *
 * @public
 */
export interface ClearAllReceipt {
  /** How many were removed. */
  readonly cleared: number;
  /** Those that could not be removed, and why: up to 1,000 of them. */
  readonly failures: readonly ClearAllFailure[];
  /** How many could not be removed. */
  readonly failed: number;
}

/**
 * A credential that `clearAll()` could not remove.
 *
 * @public
 */
export interface ClearAllFailure {
  /** What names it. */
  readonly id: string;
  /** Why. */
  readonly error: unknown;
}

/**
 * Many credentials, of users, tenants or services, each with an id, under one prefix.
 *
 * @remarks
 * However many are watched, the directory has one subscription, one heartbeat and one timer. A credential that nobody watches costs nothing
 * until somebody subscribes to `changes$`; then which bytes are stored and when they end is kept of each, but not the value.
 *
 * @example
 * ```ts
 * import { MemoryCredentialDirectory, type CredentialDirectory } from 'credstream';
 *
 * const tokens: CredentialDirectory<{ token: string }> = new MemoryCredentialDirectory({ prefix: 'user:' });
 * tokens.changes$.subscribe((change) => {
 *   console.log(change.id, change.type);
 * });
 * await tokens.save('42', { token: 'one' });
 * ```
 * @public
 */
export interface CredentialDirectory<T> extends AsyncDisposable {
  /** What the keys of its credentials begin with. */
  readonly prefix: string;

  /**
   * A store of one credential: another object each time, light, not to be pooled. All stores of one id share one watch, which ends with the last
   * who watches. Closing it ends only what it was used for; closing the directory closes it.
   *
   * @throws InvalidOptionError for an id that is no string, is empty, has control characters or lone surrogates, is too long, or would lead to a
   * key of the library's own; ClosedError
   */
  store(id: string): BackedCredentialStore<T>;

  /** The credential from memory, if anybody in this process watches it; see `current` of a store. No promise, no input or output. */
  current(id: string): CredentialSnapshot<T> | undefined;

  /** As `read()` of a store. */
  read(id: string): Promise<CredentialSnapshot<T> | undefined>;

  /** As `load()` of a store. */
  load(id: string): Promise<T | undefined>;

  /** As `save()` of a store. Saves of one id go out in the order of the calls. */
  save(id: string, credentials: T, options?: SaveOptions<T>): Promise<SaveReceipt>;

  /** As `clear()` of a store. */
  clear(id: string, options?: ClearOptions<T>): Promise<boolean>;

  /**
   * Changes of all credentials under the prefix from now on, also of those that nobody watches; `id` tells which. Hot: a late subscriber gets
   * no past ones. Never errors, completes on `close()`.
   *
   * @remarks
   * As with a store, changes come against a known earlier state only: `ready()` resolves when all are known. `previous` is there where a
   * store watches that credential, and undefined for all others, whose value nobody keeps; likewise, the `signal` of a snapshot aborts only where a
   * store watches. No order is promised across ids.
   */
  readonly changes$: Observable<CredentialChange<T>>;

  /** The status of `changes$` at once, then every new one. `live`: all credentials are known. Starts nothing. Never errors, completes with `closed` on `close()`. */
  readonly status$: Observable<StoreStatus>;

  /** The status as `status$` would emit it now. */
  readonly status: StoreStatus;

  /**
   * Starts to track all credentials for `changes$`, resolves when all are known, and goes on until `close()`.
   *
   * @throws TimeoutError when that takes longer than `timeoutMs`, ClosedError, the signal's reason
   */
  ready(options?: ReadyOptions): Promise<void>;

  /** Calls `listener` on every event of a type, and tracks all credentials until `off`. What it throws or rejects goes to `onCallbackError`. */
  on<Type extends keyof DirectoryEvents<T>>(type: Type, listener: DirectoryEvents<T>[Type]): this;

  /** Like `on`, for one event. */
  once<Type extends keyof DirectoryEvents<T>>(type: Type, listener: DirectoryEvents<T>[Type]): this;

  /** Takes a listener back; does nothing for one that is not there. */
  off<Type extends keyof DirectoryEvents<T>>(type: Type, listener: DirectoryEvents<T>[Type]): this;

  /**
   * The ids of all credentials that are stored, each once, in no order; page by page, at the reader's pace. Whatever is there all the while
   * is given; of what comes or goes meanwhile, some. Keys of another Redis type than a string, and keys that no id leads to, are left out.
   *
   * @throws UnavailableError, RefusedError, ClosedError
   */
  ids(): AsyncIterableIterator<string>;

  /**
   * Removes all credentials under the prefix that are there all the while, for example after a leak. One that cannot be removed does not stop the
   * others.
   *
   * @throws InvalidOptionError, UnavailableError and RefusedError when they could not be listed, ClosedError, the signal's reason. What was
   * removed by then stays removed.
   */
  clearAll(options?: ClearAllOptions): Promise<ClearAllReceipt>;

  /** Iterates over `changes$`, with the bounded buffer of a store's iterator. */
  [Symbol.asyncIterator](): AsyncIterableIterator<CredentialChange<T>>;

  /**
   * Closes what was built on its stores, ends every stream of it and of them, lets writes under way finish within `closeTimeoutMs`, and lets go of
   * every connection and timer. Idempotent, never rejects.
   */
  close(): Promise<void>;
}
