import type { Observable } from 'rxjs';
import type { ClosingSteps } from './closing-steps.js';
import { credentialStreams, expiringStream, type CredentialStreams } from './streams.js';
import type { Backend } from '../backend/backend.js';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type {
  ClearOptions,
  CredentialEvents,
  CredentialStore,
  ReadyOptions,
  SaveOptions,
  SaveReceipt,
  UpdateContext,
  UpdateOptions,
  UpdateReceipt,
} from '../credential/contract.js';
import { CredentialWriter } from '../writing/credential-writer.js';
import { ClosedError, InvalidOptionError, withId } from '../errors.js';
import { OwnEntry } from '../watching/own-entry.js';
import { checkMs } from '../util/option-checks.js';
import { becomeReady } from './readiness.js';
import { StoreEvents } from './events.js';
import { ObservableCredentials } from './observable-credentials.js';
import type { ResolvedStoreOptions } from './options.js';
import type { SharedUse, StoreInternals } from './internals.js';
import type { StoreStatus } from '../credential/status.js';
import { inSubscriberContext } from '../util/subscriber-context.js';
import type { WatchedEntry } from '../watching/watched.js';

let internalsIn: <T>(store: ObservableCredentialStore<T>) => StoreInternals<T> | undefined;

/**
 * The parts of a store that other features of this package build on.
 *
 * @throws InvalidOptionError when another package made the store
 */
export function internalsOf<T>(store: ObservableCredentialStore<T>): StoreInternals<T> {
  const given: unknown = store;
  const internals = typeof given === 'object' && given !== null ? internalsIn(store) : undefined;
  if (internals !== undefined) return internals;
  throw new InvalidOptionError(
    'store',
    'must be made by this package: a RedisCredentialStore, a MemoryCredentialStore or a store of one of their directories',
  );
}

/** The parts that a store creates on first use. */
interface OnDemand<T> {
  writer?: CredentialWriter<T>;
  streams?: CredentialStreams<T>;
  /** The `close` of each object that is built on this store and closes before it. */
  dependents?: Set<() => Promise<void>>;
}

/**
 * A credential store that reports every change of its credential, no matter which process or client made it.
 *
 * Watching starts with the first `ready()`, listener, iteration or subscription, and ends when the last of them is gone; `ready()`
 * keeps the watch until `close()`. `status$`, `current` and a listener of `'status'` start no watch.
 *
 * @remarks
 * Only this package makes such a store: a `RedisCredentialStore`, a `MemoryCredentialStore`, or a store of one of their directories. `derive`,
 * `invalidate` and `Reauthenticator` refuse every other object. Code that only loads, saves and clears can ask for a {@link CredentialStore},
 * which any object can implement.
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
export abstract class ObservableCredentialStore<T>
  extends ObservableCredentials<T, keyof CredentialEvents<T>>
  implements CredentialStore<T>
{
  static {
    internalsIn = (store) => {
      if (!(#live in store)) return undefined;
      const { id, backend, encoding, key, options } = store.#live;
      const closeFirst: StoreInternals<unknown>['closeFirst'] = (close) => {
        checkOpen(store.#live, store.closing);
        const dependents = ((store.#onDemand ??= {}).dependents ??= new Set());
        dependents.add(close);
        const ofShared = store.#shared?.closeFirst(close);
        return () => {
          dependents.delete(close);
          ofShared?.();
        };
      };
      return { id, key, options, backend, encoding, live: store.#live, closeFirst };
    };
  }

  readonly #live: WatchedEntry<T>;
  readonly #shared: SharedUse<T> | undefined;
  /** Most of thousands of watched credentials are only read from memory, and need none of these parts. */
  #onDemand: OnDemand<T> | undefined;

  /**
   * @internal
   * @param shared - the parts that several stores share; without them the store owns its watch, and ends it on `close()`
   */
  protected constructor(live: WatchedEntry<T>, shared?: SharedUse<T>) {
    super();
    this.#live = live;
    this.#shared = shared;
  }

  /** The id of the credential in changes and snapshots. */
  get id(): string {
    return this.#live.id;
  }

  /**
   * Changes from now on. Hot: a late subscriber gets no past ones. Emits a change only against a known earlier state, never errors,
   * completes on `close()`.
   */
  override get changes$(): Observable<CredentialChange<T>> {
    return this.#streams.changes$;
  }

  /**
   * The valid credentials, `undefined` while there are none. Silent until the first observation and while withheld; then the value at
   * once, then every new one. Never errors, completes on `close()`.
   */
  get credentials$(): Observable<T | undefined> {
    return this.#streams.credentials$;
  }

  /** The state at once, then every new one. Never errors, completes on `close()`. */
  get state$(): Observable<CredentialState<T>> {
    return this.#streams.state$;
  }

  /** The status at once, then every new one. Starts no watch. Never errors, completes with `closed` on `close()`. */
  get status$(): Observable<StoreStatus> {
    return this.#streams.status$;
  }

  /**
   * The credential from memory: no promise, no I/O, never past its end. `undefined` while nothing is watched, and when it is
   * absent, expired, unreadable or withheld.
   */
  get current(): CredentialSnapshot<T> | undefined {
    return this.#live.current;
  }

  /** The state as `state$` would emit it now. Starts no watch. */
  get state(): CredentialState<T> {
    return this.#live.state;
  }

  /** The status as `status$` would emit it now. */
  get status(): StoreStatus {
    return this.#live.status;
  }

  async load(): Promise<T | undefined> {
    return this.#write((writer) => writer.load());
  }

  /**
   * Reads the stored credential from Redis, with its end and all that `onlyIf` needs. Starts no watch and does not judge validity.
   *
   * @returns `undefined` when nothing is stored
   * @throws UnreadableError when the key holds something that this store cannot read, UnavailableError, RefusedError, ClosedError
   */
  async read(): Promise<CredentialSnapshot<T> | undefined> {
    return this.#write((writer) => writer.read());
  }

  async save(credentials: T, options: SaveOptions<T> = {}): Promise<SaveReceipt> {
    return this.#write((writer) => writer.save(credentials, options));
  }

  async clear(options: ClearOptions<T> = {}): Promise<boolean> {
    return this.#write((writer) => writer.clear(options));
  }

  /**
   * Reads the credentials, passes them to `fn`, and stores its result only if no other writer wrote in between; else starts over.
   *
   * @param fn - gets a private copy of the stored credentials; returns the new credentials, or `undefined` to leave everything as it is
   * @throws UnreadableError when the bytes cannot be decoded, ConflictError after `maxAttempts`, the errors of `fn`, and those of `save`
   */
  async update(
    fn: (current: T | undefined, context: UpdateContext) => T | undefined | Promise<T | undefined>,
    options: UpdateOptions = {},
  ): Promise<UpdateReceipt<T>> {
    return this.#write((writer) => writer.update(fn, options));
  }

  /**
   * The instant `seconds` after this call, in epoch milliseconds of the Redis server's clock, by which all ends are judged; may read the key.
   *
   * @throws InvalidOptionError, UnavailableError, RefusedError, ClosedError
   */
  async endsIn(seconds: number): Promise<number> {
    return this.#write((writer) => writer.endsIn(seconds));
  }

  /**
   * Emits each credential once, `leadMs` milliseconds before its end, or at once when less is left. Emits again after its end moved
   * later; never emits one that has expired. Cold. Never errors, completes on `close()`.
   *
   * @param leadMs - from 0 to 2^31-1
   */
  expiring$(leadMs: number): Observable<CredentialSnapshot<T>> {
    return inSubscriberContext(expiringStream(this.#live, checkMs(leadMs, 'leadMs', 0)));
  }

  /**
   * Starts watching, resolves when live, and keeps watching until `close()`.
   *
   * @throws RefusedError, or UnavailableError where Redis takes no more clients, at once when Redis turns the store away: a wrong password, a
   *   missing right, a wrong database; TimeoutError when the store is not live within `timeoutMs` (its `cause` says why); the store keeps
   *   trying after both; ClosedError, the signal's reason
   */
  ready(options: ReadyOptions = {}): Promise<void> {
    if (this.closing) return Promise.reject(new ClosedError(`the store of "${this.id}"`));
    const { backend, options: own } = this.#live;
    return becomeReady(this.#live, options, backend.clock, own.readyTimeoutMs);
  }

  /** @internal */
  protected override createEvents(): StoreEvents<T> {
    return new StoreEvents(this.#live, this.#live.options.onCallbackError);
  }

  /** @internal */
  protected override closingSteps(): ClosingSteps {
    const { backend, encoding, options } = this.#live;
    const { dependents = [], writer } = this.#onDemand ?? {};
    const shared = this.#shared;
    return {
      clock: backend.clock,
      closeTimeoutMs: options.closeTimeoutMs,
      dependents,
      endWatch: () => {
        this.#live.close();
      },
      idle: async () => (shared === undefined ? writer?.idle() : shared.idle(this.id)),
      release: async (leftMs) => {
        if (shared !== undefined) return;
        encoding.close();
        writer?.close();
        await backend.close(leftMs);
      },
    };
  }

  async #write<R>(use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R> {
    try {
      checkOpen(this.#live, this.closing);
      if (this.#shared !== undefined) return await this.#shared.write(this.id, use);
      return await use(((this.#onDemand ??= {}).writer ??= new CredentialWriter(this.#live)));
    } catch (error) {
      throw withId(error, this.id);
    }
  }

  get #streams(): CredentialStreams<T> {
    return ((this.#onDemand ??= {}).streams ??= credentialStreams(this.#live));
  }
}

/** @throws ClosedError */
function checkOpen(
  { id, closed }: Pick<WatchedEntry<unknown>, 'id' | 'closed'>,
  closing: boolean,
): void {
  if (closing || closed) throw new ClosedError(`the store of "${id}"`);
}

/** The entry of a store that shares it with no other store. */
export function ownCredential<T>(
  { key: id, shared, expiresAt }: ResolvedStoreOptions<T>,
  key: string,
  backend: Backend,
): WatchedEntry<T> {
  const options = backend.sharing.intern(shared, 'onCallbackError');
  return new OwnEntry(id, key, options, backend, expiresAt);
}
