import type { ObservableCredentialStore } from '../../stores/observable-credential-store.js';
import type { CredentialStoreOptions } from '../../stores/options.js';

/**
 * The instance that a store of the contract belongs to. Two stores of one instance may share connections and the origin `self`; stores of
 * different instances must not.
 *
 * @public
 */
export type ContractInstance = 'first' | 'second';

/**
 * Another client of the place where the credentials are kept, one that knows nothing of credential stores. Its writes are `out-of-band`.
 *
 * @public
 */
export interface OutsideClient {
  /** The bytes at a key; `undefined` when there are none, or when the key has ended. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** The remaining TTL of a key, in milliseconds; `undefined` for a key without end and for an absent key. */
  ttlMs(key: string): Promise<number | undefined>;
  /** Stores bytes, or a string as UTF-8, with the given TTL or, without one, for ever. */
  set(key: string, value: string | Uint8Array, ttlMs?: number): Promise<void>;
  /** Gives a key another TTL, or with `undefined` none. */
  expire(key: string, ttlMs: number | undefined): Promise<void>;
  /** Removes a key. */
  delete(key: string): Promise<void>;
}

/**
 * The parts of an implementation that {@link credentialStoreContract} uses.
 *
 * @remarks Everything that a harness creates refers to one shared place. The cases use keys that no other case uses, close their stores,
 *   and leave their keys behind.
 *
 * @public
 */
export interface ContractHarness {
  /**
   * Creates a store on the shared place; throws an `InvalidOptionError` at once when an option is not usable. Outside changes must reach it
   * within a second or so, by notification or by polling, without `advance`.
   */
  createStore<T>(
    instance: ContractInstance,
    options: CredentialStoreOptions<T>,
  ): ObservableCredentialStore<T>;
  /** A client beside the stores. */
  readonly outside: OutsideClient;
  /** The time of the shared place's clock, in epoch milliseconds. */
  now(): number | Promise<number>;
  /** Lets at least `ms` milliseconds pass, for the stores and for the place: moves a virtual clock, or waits. */
  advance(ms: number): Promise<void>;
}

/**
 * One case of the contract: a sentence, and its check.
 *
 * @public
 */
export interface ContractCase {
  /** The promise. */
  readonly name: string;
  /** Rejects with an `AssertionError` when the promise is not kept; closes every store of the case. */
  readonly run: (harness: ContractHarness) => Promise<void>;
}

/**
 * Options of {@link credentialStoreContract}.
 *
 * @public
 */
export interface ContractOptions {
  /** How long a case waits, in real time, for an expected event, in milliseconds from 1; default 5,000. */
  readonly timeoutMs?: number | undefined;
}
