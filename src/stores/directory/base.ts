import type { Observable } from 'rxjs';
import type { BackedCredentialStore } from '../store-base.js';
import { ChangeIterator } from '../change-iterator.js';
import { closeOnce } from '../../util/close-once.js';
import { changeStream, statusStream } from '../streams.js';
import type { Clock } from '../../time/clock.js';
import type { Backend } from '../../backend/backend.js';
import type { CredentialChange } from '../../credential/change.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import type {
  ClearOptions,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
} from '../../credential/contract.js';
import { Encoding } from '../../credential/encoding.js';
import { ClosedError, TimeoutError } from '../../errors.js';
import { checkId, isKey } from '../../util/option-checks.js';
import { becomeReady } from '../readiness.js';
import { StoreEvents } from '../store-events.js';
import type { ResolvedStoreOptions } from '../options.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import type { StoreStatus } from '../../credential/status.js';
import { withDeadline } from '../../time/timers.js';
import { clearEach } from './clear-all.js';
import type {
  ClearAllOptions,
  ClearAllReceipt,
  CredentialDirectory,
  DirectoryEvents,
} from './contract.js';
import { CredentialRegistry } from './open-credentials.js';
import { DirectoryBackend } from './directory-backend.js';
import { PrefixWatch } from '../../watching/prefix-watch.js';
import { DirectoryStore } from './store-handle.js';
import { listIds } from './clear-all.js';
import { ReadBatcher } from '../../watching/read-batcher.js';
import { TimeSlicedClock } from '../../time/time-slicing.js';
import { Tracking } from '../../watching/tracking.js';

/** What is built on a directory needs more of it than its public face. */
export interface DirectoryInternals {
  readonly clock: Clock;
  /** Has `close` called, and waited for, before the directory closes; returns what takes that back. */
  closeFirst(close: () => Promise<void>): () => void;
}

let internalsIn: (directory: object) => DirectoryInternals | undefined;

/** What is inside a directory; `undefined` when it was not made by this package. */
export function directoryInternalsOf(directory: unknown): DirectoryInternals | undefined {
  return typeof directory === 'object' && directory !== null ? internalsIn(directory) : undefined;
}

/**
 * What every credential directory of this package is: the watching, reading and writing of all keys of a backend under one prefix.
 *
 * @public
 */
export abstract class BackedCredentialDirectory<T> implements CredentialDirectory<T> {
  static {
    internalsIn = (directory) => (#registry in directory ? directory.#internals() : undefined);
  }

  readonly prefix: string;
  readonly #keyPrefix: string;
  readonly #backend: Backend;
  readonly #options: SharedStoreOptions<T>;
  readonly #encoding: Encoding<T>;
  readonly #registry: CredentialRegistry<T>;
  readonly #tracking: Tracking<T>;
  readonly #events: StoreEvents<T>;
  #closing: Promise<void> | undefined;

  /**
   * @internal
   * @param keyPrefix - what keys begin with in the backend; the prefix that the outside knows is its end
   */
  protected constructor(
    { key: prefix, shared, expiresAt }: ResolvedStoreOptions<T>,
    keyPrefix: string,
    backend: Backend,
  ) {
    this.prefix = prefix;
    this.#keyPrefix = keyPrefix;
    this.#backend = backend;
    const options = backend.sharing.intern(shared, 'onCallbackError');
    this.#options = options;
    const { clock } = backend;
    const paced = new TimeSlicedClock(clock);
    const encoding = new Encoding(options, expiresAt, paced);
    this.#encoding = encoding;
    const reads = new ReadBatcher(backend.hints, clock, options.maxBytes);
    const watch = new PrefixWatch<T>({
      prefix: keyPrefix,
      backend: new DirectoryBackend(backend, paced),
      clock,
      options,
      encoding,
      reads,
    });
    this.#registry = new CredentialRegistry(watch);
    this.#tracking = new Tracking<T>({
      backend,
      watch,
      reads,
      clocks: { machine: clock, paced },
      prefix: keyPrefix,
      isKeyOfId: (key) => this.#idAt(key) !== undefined,
    });
    this.#events = new StoreEvents(this.#tracking, options.onCallbackError);
  }

  get changes$(): Observable<CredentialChange<T>> {
    return changeStream(this.#tracking);
  }

  get status$(): Observable<StoreStatus> {
    return statusStream(this.#tracking);
  }

  get status(): StoreStatus {
    return this.#tracking.status;
  }

  store(id: string): BackedCredentialStore<T> {
    this.#checkOpen();
    checkId(id, this.#keyPrefix);
    return new DirectoryStore(id, this.#registry);
  }

  current(id: string): CredentialSnapshot<T> | undefined {
    return this.#registry.get(id)?.current;
  }

  async read(id: string): Promise<CredentialSnapshot<T> | undefined> {
    return this.store(id).read();
  }

  async load(id: string): Promise<T | undefined> {
    return this.store(id).load();
  }

  async save(id: string, credentials: T, options?: SaveOptions<T>): Promise<SaveReceipt> {
    return this.store(id).save(credentials, options);
  }

  async clear(id: string, options?: ClearOptions<T>): Promise<boolean> {
    return this.store(id).clear(options);
  }

  async ready(options: ReadyOptions = {}): Promise<void> {
    this.#checkOpen();
    const { readyTimeoutMs } = this.#options;
    await becomeReady(this.#tracking, options, this.#backend.clock, readyTimeoutMs);
  }

  on<Type extends keyof DirectoryEvents<T>>(type: Type, listener: DirectoryEvents<T>[Type]): this {
    this.#events.add(type, listener, false);
    return this;
  }

  once<Type extends keyof DirectoryEvents<T>>(
    type: Type,
    listener: DirectoryEvents<T>[Type],
  ): this {
    this.#events.add(type, listener, true);
    return this;
  }

  off<Type extends keyof DirectoryEvents<T>>(type: Type, listener: DirectoryEvents<T>[Type]): this {
    this.#events.remove(type, listener);
    return this;
  }

  ids(): AsyncIterableIterator<string> {
    return listIds(
      () => {
        this.#checkOpen();
        return this.#backend.keys(this.#keyPrefix);
      },
      (key) => this.#idAt(key),
    );
  }

  async clearAll(options: ClearAllOptions = {}): Promise<ClearAllReceipt> {
    this.#checkOpen();
    const clear = (id: string, reason: string | undefined): Promise<boolean> =>
      this.clear(id, { reason });
    return clearEach(this.ids(), clear, options, this.#options.onCallbackError);
  }

  /** Iterates over changes from now on, until `close()`; see {@link CredentialDirectory}. */
  [Symbol.asyncIterator](): AsyncIterableIterator<CredentialChange<T>> {
    return new ChangeIterator(this.changes$);
  }

  close(): Promise<void> {
    return (
      this.#closing ??
      closeOnce(
        () => this.#close(),
        (closing) => {
          this.#closing = closing;
        },
      )
    );
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { closeTimeoutMs } = this.#options;
    const { clock } = this.#backend;
    await this.#registry.closeDependents();
    const startedAt = clock.monotonic();
    this.#tracking.close();
    this.#registry.close();
    const late = (): Error => new TimeoutError('close', closeTimeoutMs);
    await withDeadline(clock, this.#registry.idle(), closeTimeoutMs, late).catch(() => undefined);
    this.#encoding.close();
    this.#registry.closeWriters();
    await this.#backend.close(Math.max(0, closeTimeoutMs - (clock.monotonic() - startedAt)));
  }

  #internals(): DirectoryInternals {
    return {
      clock: this.#backend.clock,
      closeFirst: (close) => {
        this.#checkOpen();
        return this.#registry.closeFirst(close);
      },
    };
  }

  #idAt(key: string): string | undefined {
    if (key.length <= this.#keyPrefix.length || !isKey(key)) return undefined;
    return key.slice(this.#keyPrefix.length);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('the directory');
  }
}
