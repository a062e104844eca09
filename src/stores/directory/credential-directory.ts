import type { Observable } from 'rxjs';
import type { ObservableCredentialStore } from '../observable-credential-store.js';
import type { ClosingSteps } from '../closing-steps.js';
import { ObservableCredentials } from '../observable-credentials.js';
import { changeStream, statusStream } from '../streams.js';
import type { Clock } from '../../time/clock.js';
import type { Backend, Subscription } from '../../backend/backend.js';
import type { CredentialChange } from '../../credential/change.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import type {
  ClearOptions,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
} from '../../credential/contract.js';
import { Encoding } from '../../credential/encoding.js';
import { ClosedError, InvalidOptionError } from '../../errors.js';
import { checkId, isKey } from '../../util/option-checks.js';
import { becomeReady } from '../readiness.js';
import { StoreEvents } from '../events.js';
import type { ResolvedStoreOptions } from '../options.js';
import type { SharedStoreOptions } from '../../watching/entry-options.js';
import type { StoreStatus } from '../../credential/status.js';
import { inSubscriberContext } from '../../util/subscriber-context.js';
import { clearEach } from './clear-all.js';
import type { ClearAllOptions, ClearAllReceipt, DirectoryEvents } from './contract.js';
import { CredentialRegistry } from './credential-registry.js';
import { TimeSlicedBackend } from './time-sliced-backend.js';
import { PrefixWatch } from '../../watching/prefix-watch.js';
import { StoreHandle } from './store-handle.js';
import { listIds } from './clear-all.js';
import { ReadBatcher } from '../../watching/read-batcher.js';
import { TimeSlicedClock } from '../../time/slicing.js';
import { Tracking } from '../../watching/tracking.js';

/** The parts of a directory that other rooms of this package use. */
export interface DirectoryInternals {
  readonly clock: Clock;
  /** Registers a `close` that the directory calls and awaits before it closes; returns the function that unregisters it. */
  closeFirst(close: () => Promise<void>): () => void;
}

let internalsIn: (directory: object) => DirectoryInternals | undefined;

/**
 * The parts of a directory that other features of this package build on.
 *
 * @throws InvalidOptionError when another package made the directory
 */
export function directoryInternalsOf(directory: unknown): DirectoryInternals {
  const internals =
    typeof directory === 'object' && directory !== null ? internalsIn(directory) : undefined;
  if (internals !== undefined) return internals;
  throw new InvalidOptionError(
    'directory',
    'must be made by this package: a RedisCredentialDirectory or a MemoryCredentialDirectory',
  );
}

/**
 * Many credentials, of users, tenants or services, each with an id, under one prefix.
 *
 * @remarks
 * The directory has one subscription, one heartbeat and one timer for any number of watched credentials. An unwatched credential costs
 * nothing until the first subscription to `changes$`; from then on its digest and its end are kept, but not its value.
 *
 * Only this package makes a directory: a `RedisCredentialDirectory` or a `MemoryCredentialDirectory`. `deriveEach` and `ReauthenticatorPool` refuse every
 * other object.
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
export abstract class CredentialDirectory<T> extends ObservableCredentials<
  T,
  keyof DirectoryEvents<T>
> {
  static {
    internalsIn = (directory) => {
      if (!(#registry in directory)) return undefined;
      return {
        clock: directory.#backend.clock,
        closeFirst: (close) => {
          directory.#checkOpen();
          return directory.#registry.closeFirst(close);
        },
      };
    };
  }

  /** The common beginning of the keys of its credentials. */
  readonly prefix: string;
  readonly #keyPrefix: string;
  readonly #backend: Backend;
  readonly #options: SharedStoreOptions<T>;
  readonly #encoding: Encoding<T>;
  readonly #registry: CredentialRegistry<T>;
  readonly #tracking: Tracking<T>;

  /**
   * @internal
   * @param keyPrefix - the beginning of the keys in the backend: the caller's prefix after the `keyPrefix` of the client
   */
  protected constructor(
    { key: prefix, shared, expiresAt }: ResolvedStoreOptions<T>,
    keyPrefix: string,
    backend: Backend,
  ) {
    super();
    this.prefix = prefix;
    this.#keyPrefix = keyPrefix;
    this.#backend = backend;
    const options = backend.sharing.intern(shared, 'onCallbackError');
    this.#options = options;
    const { clock } = backend;
    const paced = new TimeSlicedClock(clock);
    const encoding = new Encoding({ options, clock: paced, subject: `${prefix}*` }, expiresAt);
    this.#encoding = encoding;
    const subscription = (): Subscription | undefined => watch.subscription;
    const reads = new ReadBatcher(subscription, clock, options.maxBytes);
    const scope = {
      backend: new TimeSlicedBackend(backend, paced),
      clock: paced,
      options,
      encoding,
    };
    const watch: PrefixWatch<T> = new PrefixWatch<T>(keyPrefix, scope, clock, reads);
    this.#registry = new CredentialRegistry(watch);
    this.#tracking = new Tracking<T>({
      backend,
      watch,
      reads,
      isKeyOfId: (key) => this.#isKeyOfId(key),
    });
  }

  /**
   * Changes of all credentials under the prefix from now on, watched by a store or not; `id` names the credential. Hot: a late subscriber
   * gets no past ones. Never errors, completes on `close()`.
   *
   * @remarks
   * As with a store, changes come only against a known earlier state: `ready()` resolves when all are known. `previous` is set while a
   * store watches the credential, and undefined for all others, whose values are not kept; likewise the `signal` of a snapshot aborts only
   * while a store watches. No order is promised across ids.
   */
  override get changes$(): Observable<CredentialChange<T>> {
    return inSubscriberContext(changeStream(this.#tracking));
  }

  /** The status of `changes$` at once, then every new one. `live`: all credentials are known. Starts no watch. Never errors, completes with `closed` on `close()`. */
  get status$(): Observable<StoreStatus> {
    return inSubscriberContext(statusStream(this.#tracking));
  }

  /** The status as `status$` would emit it now. */
  get status(): StoreStatus {
    return this.#tracking.status;
  }

  /**
   * A store of one credential: a light object, a new one at each call, without need of a pool. All stores of one id share one watch, which
   * ends with its last user. Closing the store ends only its own streams and waits; closing the directory closes all its stores.
   *
   * @throws InvalidOptionError for an id that is no string, is empty, has control characters or lone surrogates, is too long, or would lead
   *   to a key of the library's own; ClosedError
   */
  store(id: string): ObservableCredentialStore<T> {
    this.#checkOpen();
    checkId(id, this.#keyPrefix, this.#backend.ownPrefix);
    return new StoreHandle(id, this.#registry);
  }

  /** The credential from memory, if a store of this process watches it; see `current` of a store. No promise, no I/O. */
  current(id: string): CredentialSnapshot<T> | undefined {
    return this.#registry.get(id)?.current;
  }

  /** As `read()` of a store. */
  async read(id: string): Promise<CredentialSnapshot<T> | undefined> {
    return this.store(id).read();
  }

  /** As `load()` of a store. */
  async load(id: string): Promise<T | undefined> {
    return this.store(id).load();
  }

  /** As `save()` of a store. Saves of one id go out in the order of the calls. */
  async save(id: string, credentials: T, options?: SaveOptions<T>): Promise<SaveReceipt> {
    return this.store(id).save(credentials, options);
  }

  /** As `clear()` of a store. */
  async clear(id: string, options?: ClearOptions<T>): Promise<boolean> {
    return this.store(id).clear(options);
  }

  /**
   * Starts watching all credentials for `changes$`, resolves when all are known, and keeps watching until `close()`.
   *
   * @throws RefusedError, or UnavailableError where Redis takes no more clients, at once when Redis turns the directory away; TimeoutError when
   *   the directory is not live within `timeoutMs`; ClosedError, the signal's reason
   */
  async ready(options: ReadyOptions = {}): Promise<void> {
    this.#checkOpen();
    const { readyTimeoutMs } = this.#options;
    await becomeReady(this.#tracking, options, this.#backend.clock, readyTimeoutMs);
  }

  /**
   * The ids of all stored credentials, each once, in no order; the next page is fetched when the caller asks for it. A credential that is
   * stored all the while is listed; one that comes or goes meanwhile may be. Keys of another Redis type than a string, and keys that belong
   * to no valid id, are left out.
   *
   * @throws UnavailableError, RefusedError, ClosedError
   */
  ids(): AsyncIterableIterator<string> {
    return listIds(
      () => {
        this.#checkOpen();
        return this.#backend.keys(this.#keyPrefix);
      },
      (key) => this.#idAt(key),
    );
  }

  /**
   * Clears all credentials under the prefix that are stored all the while, for example after a leak. A failure of one does not stop the
   * others.
   *
   * @throws InvalidOptionError, UnavailableError and RefusedError when they could not be listed, ClosedError, the signal's reason.
   *   Credentials that were removed before stay removed.
   */
  async clearAll(options: ClearAllOptions = {}): Promise<ClearAllReceipt> {
    this.#checkOpen();
    const clear = (id: string, reason: string | undefined): Promise<boolean> =>
      this.clear(id, { reason });
    return clearEach(this.ids(), clear, options, this.#options.onCallbackError);
  }

  /** @internal */
  protected override createEvents(): StoreEvents<T> {
    return new StoreEvents(this.#tracking, this.#options.onCallbackError);
  }

  /** @internal */
  protected override closingSteps(): ClosingSteps {
    const registry = this.#registry;
    return {
      clock: this.#backend.clock,
      closeTimeoutMs: this.#options.closeTimeoutMs,
      dependents: registry.dependents,
      endWatch: () => {
        this.#tracking.close();
        registry.close();
      },
      idle: () => registry.allIdle(),
      release: (leftMs) => {
        this.#encoding.close();
        registry.closeWriters();
        return this.#backend.close(leftMs);
      },
    };
  }

  #idAt(key: string): string | undefined {
    return this.#isKeyOfId(key) ? key.slice(this.#keyPrefix.length) : undefined;
  }

  #isKeyOfId(key: string): boolean {
    return key.length > this.#keyPrefix.length && isKey(key, this.#backend.ownPrefix);
  }

  #checkOpen(): void {
    if (this.closing) throw new ClosedError('the directory');
  }
}
