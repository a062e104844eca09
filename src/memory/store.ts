import { ObservableCredentialStore, ownCredential } from '../stores/observable-credential-store.js';
import {
  resolveStoreOptions,
  STORE_OPTIONS,
  type CredentialStoreOptions,
} from '../stores/options.js';
import { checkKey } from '../util/option-checks.js';
import { OWN_PREFIX } from './attempt-swap.js';
import type { CredentialMemory } from './credential-memory.js';
import { IN_MEMORY_OPTIONS, resolveMemory } from './options.js';
import { MemoryBackend } from './backend.js';

/**
 * Options of a {@link MemoryCredentialStore}.
 *
 * @public
 */
export interface MemoryCredentialStoreOptions<T> extends CredentialStoreOptions<T> {
  /** The memory to keep the credential in; stores on the same memory and key share it. Default: a memory of its own. */
  readonly memory?: CredentialMemory | undefined;
}

const TABLE = { ...STORE_OPTIONS, ...IN_MEMORY_OPTIONS };

/**
 * A credential store inside this process, for tests and for programs that run alone. The store goes through the same states and emits the
 * same changes as the one on Redis.
 *
 * @example
 * ```ts
 * import { MemoryCredentialStore } from 'credstream';
 *
 * await using store = new MemoryCredentialStore<{ token: string }>({ key: 'api', ttlSeconds: 3600 });
 * store.on('saved', (change) => {
 *   console.log(change.expiresAt);
 * });
 * await store.ready();
 * await store.save({ token: 'one' });
 * ```
 * @public
 */
export class MemoryCredentialStore<T> extends ObservableCredentialStore<T> {
  /** @throws InvalidOptionError */
  constructor(options: MemoryCredentialStoreOptions<T>) {
    const resolved = resolveStoreOptions(options, TABLE);
    const key = checkKey(resolved.key, 'key', OWN_PREFIX);
    super(ownCredential(resolved, key, new MemoryBackend(resolveMemory(options), resolved.name)));
  }
}
