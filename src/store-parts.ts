import type { CredentialBackend } from './credential-backend.js';
import type { Encoding } from './encoding.js';
import type { LiveCredential } from './live-credential.js';
import type { SharedStoreOptions } from './store-options.js';

/** What is built on a store needs more of it than its public face. */
export interface StoreParts<T> {
  readonly id: string;
  /** Where the credential lies in the backend. */
  readonly key: string;
  readonly options: SharedStoreOptions<T>;
  readonly backend: CredentialBackend;
  readonly encoding: Encoding<T>;
  readonly live: LiveCredential<T>;
  /** Has `close` called, and waited for, before the store closes; returns what takes that back. */
  closeFirst(close: () => Promise<void>): () => void;
}
