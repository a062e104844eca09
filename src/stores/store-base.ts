import type { Observable } from 'rxjs';
import { ChangeIterator } from './change-iterator.js';
import { closeOnce } from '../util/close-once.js';
import { credentialStreams, expiringStream, type CredentialStreams } from './streams.js';
import type { Backend } from '../backend/backend.js';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type {
  ClearOptions,
  CredentialEvents,
  ObservableCredentialStore,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
  UpdateOptions,
  UpdateReceipt,
} from '../credential/contract.js';
import { CredentialWriter } from '../writing/credential-writer.js';
import { Encoding } from '../credential/encoding.js';
import { ClosedError, TimeoutError } from '../errors.js';
import { KeyWatch } from '../watching/key-watch.js';
import { OpenEntry } from '../watching/open-entry.js';
import { checkMs } from '../util/option-checks.js';
import { becomeReady } from './readiness.js';
import { StoreEvents } from './store-events.js';
import type { ResolvedStoreOptions } from './options.js';
import type { SharedUse, StoreInternals } from './store-internals.js';
import type { StoreStatus } from '../credential/status.js';
import { withDeadline } from '../time/timers.js';
import type { WatchedEntry } from '../watching/watched.js';

let internalsIn: <T>(store: BackedCredentialStore<T>) => StoreInternals<T> | undefined;

/** What is inside a store; `undefined` when it was not made by this package. */
export function internalsOf<T>(
  store: BackedCredentialStore<T> | null,
): StoreInternals<T> | undefined {
  return typeof store === 'object' && store !== null ? internalsIn(store) : undefined;
}

/** What a store has once it is used in that way. */
interface OnDemand<T> {
  writer?: CredentialWriter<T>;
  events?: StoreEvents<T>;
  streams?: CredentialStreams<T>;
  /** What is built on this store and closes before it. */
  dependents?: Set<() => Promise<void>>;
}

/**
 * What every credential store of this package is: the watching, reading and writing of one key of a backend.
 *
 * @public
 */
export abstract class BackedCredentialStore<T> implements ObservableCredentialStore<T> {
  static {
    internalsIn = (store) => (#live in store ? store.#internals() : undefined);
  }

  readonly id: string;
  readonly #live: WatchedEntry<T>;
  readonly #shared: SharedUse<T> | undefined;
  /** Of thousands of watched credentials, most are only ever read from memory. */
  #onDemand: OnDemand<T> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @internal
   * @param shared - what it shares with other stores; without it, all that is inside is its own, and ends with it
   */
  protected constructor(live: WatchedEntry<T>, shared?: SharedUse<T>) {
    this.id = live.id;
    this.#live = live;
    this.#shared = shared;
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
    const found = await this.#write((writer) => writer.readDecoded());
    return found.type === 'readable' ? found.credentials : undefined;
  }

  async read(): Promise<CredentialSnapshot<T> | undefined> {
    this.#checkOpen();
    return this.#write((writer) => writer.read());
  }

  async save(credentials: T, options: SaveOptions<T> = {}): Promise<SaveReceipt> {
    this.#checkOpen();
    return this.#write((writer) => writer.save(credentials, options));
  }

  async clear(options: ClearOptions<T> = {}): Promise<boolean> {
    this.#checkOpen();
    return this.#write((writer) => writer.clear(options));
  }

  async update(
    fn: (current: T | undefined) => T | undefined | Promise<T | undefined>,
    options: UpdateOptions = {},
  ): Promise<UpdateReceipt<T>> {
    this.#checkOpen();
    return this.#write((writer) => writer.update(fn, options));
  }

  expiring$(leadMs: number): Observable<CredentialSnapshot<T>> {
    return expiringStream(this.#live, checkMs(leadMs, 'leadMs', 0));
  }

  ready(options: ReadyOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new ClosedError());
    const { backend, options: own } = this.#live;
    return becomeReady(this.#live, options, backend.clock, own.readyTimeoutMs);
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
    const { closeTimeoutMs } = this.#live.options;
    const { backend, encoding } = this.#live;
    const { clock } = backend;
    const dependents = this.#onDemand?.dependents;
    if (dependents !== undefined) await Promise.allSettled([...dependents].map((close) => close()));
    const startedAt = clock.monotonic();
    this.#live.close();
    const late = (): Error => new TimeoutError('close', closeTimeoutMs);
    const idle = (this.#shared ?? this.#onDemand?.writer)?.idle() ?? Promise.resolve();
    await withDeadline(clock, idle, closeTimeoutMs, late).catch(() => undefined);
    if (this.#shared !== undefined) return;
    encoding.close();
    this.#onDemand?.writer?.close();
    await backend.close(Math.max(0, closeTimeoutMs - (clock.monotonic() - startedAt)));
  }

  #internals(): StoreInternals<T> {
    return {
      id: this.id,
      key: this.#live.key,
      options: this.#live.options,
      backend: this.#live.backend,
      encoding: this.#live.encoding,
      live: this.#live,
      closeFirst: (close) => {
        this.#checkOpen();
        const dependents = (this.#lazily.dependents ??= new Set());
        dependents.add(close);
        const ofShared = this.#shared?.closeFirst(close);
        return () => {
          dependents.delete(close);
          ofShared?.();
        };
      },
    };
  }

  get #lazily(): OnDemand<T> {
    return (this.#onDemand ??= {});
  }

  #write<R>(use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R> {
    if (this.#shared !== undefined) return this.#shared.write(use);
    return use((this.#lazily.writer ??= new CredentialWriter(this.#live)));
  }

  get #streams(): CredentialStreams<T> {
    return (this.#lazily.streams ??= credentialStreams(this.#live));
  }

  get #events(): StoreEvents<T> {
    return (this.#lazily.events ??= new StoreEvents(
      this.#live,
      this.#live.options.onCallbackError,
    ));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined || this.#live.closed) throw new ClosedError();
  }
}

/** What the one store of a credential watches. */
export function ownCredential<T>(
  { key: id, shared, expiresAt }: ResolvedStoreOptions<T>,
  key: string,
  backend: Backend,
): WatchedEntry<T> {
  const options = backend.sharing.intern(shared, 'onCallbackError');
  const encoding = new Encoding(options, expiresAt, backend.clock);
  return new OpenEntry(id, new KeyWatch(key, options, backend, encoding));
}
