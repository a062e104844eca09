import type { Backend } from '../backend/backend.js';
import type { CredentialWriter } from '../writing/credential-writer.js';
import type { Encoding } from '../credential/encoding.js';
import type { SharedStoreOptions } from '../watching/entry-options.js';
import type { WatchedEntry } from '../watching/watched.js';

/** What is built on a store needs more of it than its public face. */
export interface StoreInternals<T> {
  readonly id: string;
  /** Where the credential lies in the backend. */
  readonly key: string;
  readonly options: SharedStoreOptions<T>;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly live: WatchedEntry<T>;
  /** Has `close` called, and waited for, before the store closes; returns what takes that back. */
  closeFirst(close: () => Promise<void>): () => void;
}

/** What stores of one credential have together. */
export interface SharedUse<T> {
  /** Has something done with their one writer, so that writes go out in the order in which they were asked for, by whichever store. */
  write<R>(use: (writer: CredentialWriter<T>) => Promise<R>): Promise<R>;
  /** Resolves when no write is under way. */
  idle(): Promise<void>;
  /** Has `close` called before all of it closes; returns what takes that back. */
  closeFirst(close: () => Promise<void>): () => void;
}
