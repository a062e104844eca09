import type { Backend } from '../backend/backend.js';
import type { CredentialWriter } from '../writing/credential-writer.js';
import type { Encoding } from '../credential/encoding.js';
import type { SharedStoreOptions } from '../watching/entry-options.js';
import type { WatchedEntry } from '../watching/watched.js';

/** The parts of a store that other rooms of this package use. */
export interface StoreInternals<T> {
  readonly id: string;
  /** The key of the credential in the backend. */
  readonly key: string;
  readonly options: SharedStoreOptions<T>;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly live: WatchedEntry<T>;
  /** Registers a `close` that the store calls and awaits before it closes; returns the function that unregisters it. */
  readonly closeFirst: (close: () => Promise<void>) => () => void;
}

/** The writers and the end that the stores of one directory share. */
export interface SharedUse<T> {
  /** Calls `use` with the common writer of a credential, so that the writes of all its stores go out in the order of the calls. */
  write<R>(id: string, use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R>;
  /** Resolves when no write of a credential is under way. */
  idle(id: string): Promise<void>;
  /** Registers a `close` that is called before the directory closes; returns the function that unregisters it. */
  closeFirst(close: () => Promise<void>): () => void;
}
