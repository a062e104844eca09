import type { Observable } from 'rxjs';
import { ChangeIterator } from './change-iterator.js';
import {
  credentialStreams,
  expiringStream,
  statusStream,
  type CredentialStreams,
} from './change-streams.js';
import type { CredentialBackend } from './credential-backend.js';
import type { CredentialChange } from './credential-change.js';
import type { CredentialSnapshot } from './credential-snapshot.js';
import type { CredentialState } from './credential-state.js';
import type {
  ClearOptions,
  CredentialEvents,
  ObservableCredentialStore,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
  UpdateOptions,
  UpdateReceipt,
} from './credential-store.js';
import { CredentialWriter } from './credential-writer.js';
import { Encoding } from './encoding.js';
import { ClosedError, TimeoutError } from './errors.js';
import { LiveCredential } from './live-credential.js';
import { checkMs, checkNames, checkSignal } from './option-checks.js';
import { StoreEvents } from './store-events.js';
import type { ResolvedStoreOptions, SharedStoreOptions } from './store-options.js';
import type { StoreParts } from './store-parts.js';
import type { StoreStatus } from './store-status.js';
import { unlessAborted, withDeadline } from './waiting.js';

let partsIn: <T>(store: BackedCredentialStore<T>) => StoreParts<T> | undefined;

/** What is inside a store; `undefined` when it was not made by this package. */
export function partsOf<T>(store: BackedCredentialStore<T> | null): StoreParts<T> | undefined {
  return typeof store === 'object' && store !== null ? partsIn(store) : undefined;
}

/**
 * What every credential store of this package is: the watching, reading and writing of one key of a backend.
 *
 * @public
 */
export abstract class BackedCredentialStore<T> implements ObservableCredentialStore<T> {
  static {
    partsIn = (store) => (#live in store ? store.#parts() : undefined);
  }

  readonly id: string;
  readonly #key: string;
  readonly #options: SharedStoreOptions<T>;
  readonly #backend: CredentialBackend;
  readonly #encoding: Encoding<T>;
  readonly #live: LiveCredential<T>;
  // Made on first use: of thousands of watched credentials, most are only ever read from memory.
  #lazyWriter: CredentialWriter<T> | undefined;
  #lazyEvents: StoreEvents<T> | undefined;
  #lazyStreams: CredentialStreams<T> | undefined;
  /** What is built on this store and closes before it. */
  #dependents: Set<() => Promise<void>> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  protected constructor(key: string, options: ResolvedStoreOptions<T>, backend: CredentialBackend) {
    this.id = options.key;
    this.#key = key;
    this.#options = options;
    this.#backend = backend;
    this.#encoding = new Encoding(options, backend.clock);
    this.#live = new LiveCredential(this.id, key, options, backend, this.#encoding);
  }

  get changes$(): Observable<CredentialChange<T>> {
    return this.#streams.changes$;
  }

  get credentials$(): Observable<T | undefined> {
    return this.#streams.credentials$;
  }

  get state$(): Observable<CredentialState<T>> {
    return this.#streams.state$;
  }

  get status$(): Observable<StoreStatus> {
    return this.#streams.status$;
  }

  get current(): CredentialSnapshot<T> | undefined {
    return this.#live.current;
  }

  get state(): CredentialState<T> {
    return this.#live.state;
  }

  get status(): StoreStatus {
    return this.#live.status;
  }

  async load(): Promise<T | undefined> {
    this.#checkOpen();
    const found = await this.#writer.look();
    return found.type === 'readable' ? found.credentials : undefined;
  }

  async read(): Promise<CredentialSnapshot<T> | undefined> {
    this.#checkOpen();
    return this.#writer.read();
  }

  async save(credentials: T, options: SaveOptions<T> = {}): Promise<SaveReceipt> {
    this.#checkOpen();
    return this.#writer.save(credentials, options);
  }

  async clear(options: ClearOptions<T> = {}): Promise<boolean> {
    this.#checkOpen();
    return this.#writer.clear(options);
  }

  async update(
    fn: (current: T | undefined) => T | undefined | Promise<T | undefined>,
    options: UpdateOptions = {},
  ): Promise<UpdateReceipt<T>> {
    this.#checkOpen();
    return this.#writer.update(fn, options);
  }

  expiring$(leadMs: number): Observable<CredentialSnapshot<T>> {
    return expiringStream(this.#live, checkMs(leadMs, 'leadMs', 0));
  }

  async ready(options: ReadyOptions = {}): Promise<void> {
    checkNames(options, ['signal', 'timeoutMs']);
    const signal = checkSignal(options.signal);
    const { timeoutMs = this.#options.readyTimeoutMs } = options;
    checkMs(timeoutMs, 'timeoutMs', 1, Infinity);
    this.#checkOpen();
    signal?.throwIfAborted();
    this.#live.pin();
    let stop: () => void = () => undefined;
    const live = new Promise<void>((resolve, reject) => {
      const subscription = statusStream(this.#live).subscribe({
        next: (status) => {
          if (status.link === 'live') resolve();
        },
        complete: () => {
          reject(new ClosedError());
        },
      });
      stop = () => {
        subscription.unsubscribe();
        // Nobody waits any longer: lets the deadline go, which would outlive the store.
        resolve();
      };
    });
    const late = (): Error => new TimeoutError('becoming live', timeoutMs, this.status.error);
    try {
      await unlessAborted(withDeadline(this.#backend.clock, live, timeoutMs, late), signal);
    } finally {
      stop();
    }
  }

  on<Type extends keyof CredentialEvents<T>>(
    type: Type,
    listener: CredentialEvents<T>[Type],
  ): this {
    this.#events.add(type, listener, false);
    return this;
  }

  once<Type extends keyof CredentialEvents<T>>(
    type: Type,
    listener: CredentialEvents<T>[Type],
  ): this {
    this.#events.add(type, listener, true);
    return this;
  }

  off<Type extends keyof CredentialEvents<T>>(
    type: Type,
    listener: CredentialEvents<T>[Type],
  ): this {
    this.#events.remove(type, listener);
    return this;
  }

  /** Iterates over changes from now on, until `close()`; see {@link ObservableCredentialStore}. */
  [Symbol.asyncIterator](): AsyncIterableIterator<CredentialChange<T>> {
    return new ChangeIterator(this.changes$);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      // Set before anything is told, because whoever is told may close again.
      let done: () => void = () => undefined;
      this.#closing = new Promise((resolve) => {
        done = resolve;
      });
      void this.#close().then(done, done);
    }
    return this.#closing;
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { closeTimeoutMs } = this.#options;
    const { clock } = this.#backend;
    if (this.#dependents !== undefined)
      await Promise.allSettled([...this.#dependents].map((close) => close()));
    const startedAt = clock.monotonic();
    this.#live.close();
    const late = (): Error => new TimeoutError('close', closeTimeoutMs);
    await withDeadline(
      clock,
      this.#lazyWriter?.idle() ?? Promise.resolve(),
      closeTimeoutMs,
      late,
    ).catch(() => undefined);
    this.#encoding.close();
    this.#lazyWriter?.close();
    await this.#backend.close(Math.max(0, closeTimeoutMs - (clock.monotonic() - startedAt)));
  }

  #parts(): StoreParts<T> {
    return {
      id: this.id,
      key: this.#key,
      options: this.#options,
      backend: this.#backend,
      encoding: this.#encoding,
      live: this.#live,
      closeFirst: (close) => {
        this.#checkOpen();
        const dependents = (this.#dependents ??= new Set());
        dependents.add(close);
        return () => dependents.delete(close);
      },
    };
  }

  get #writer(): CredentialWriter<T> {
    return (this.#lazyWriter ??= new CredentialWriter(
      this.id,
      this.#key,
      this.#options,
      this.#backend,
      this.#encoding,
      this.#live,
    ));
  }

  get #streams(): CredentialStreams<T> {
    return (this.#lazyStreams ??= credentialStreams(this.#live));
  }

  get #events(): StoreEvents<T> {
    return (this.#lazyEvents ??= new StoreEvents(this.#live, this.#options.onCallbackError));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError();
  }
}
