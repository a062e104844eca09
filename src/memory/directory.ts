import { CredentialDirectory } from '../stores/directory/credential-directory.js';
import {
  DIRECTORY_OPTIONS,
  resolveDirectoryOptions,
  type CredentialDirectoryOptions,
} from '../stores/directory/options.js';
import { checkKey } from '../util/option-checks.js';
import { OWN_PREFIX } from './attempt-swap.js';
import type { CredentialMemory } from './credential-memory.js';
import { IN_MEMORY_OPTIONS, resolveMemory } from './options.js';
import { MemoryBackend } from './backend.js';

/**
 * Options of a {@link MemoryCredentialDirectory}.
 *
 * @public
 */
export interface MemoryCredentialDirectoryOptions<T> extends CredentialDirectoryOptions<T> {
  /** The memory to keep the credentials in; stores and directories on the same memory share it. Default: a memory of its own. */
  readonly memory?: CredentialMemory | undefined;
}

const TABLE = { ...DIRECTORY_OPTIONS, ...IN_MEMORY_OPTIONS };

/**
 * Many credentials inside this process, for tests and for programs that run alone. The directory behaves as the one on Redis does.
 *
 * @example
 * ```ts
 * import { MemoryCredentialDirectory } from 'credstream';
 *
 * await using directory = new MemoryCredentialDirectory<{ token: string }>({ prefix: 'tenant:' });
 * directory.on('saved', (change) => {
 *   console.log(change.id, change.expiresAt);
 * });
 * await directory.ready();
 * await directory.save('acme', { token: 'one' });
 * ```
 * @public
 */
export class MemoryCredentialDirectory<T> extends CredentialDirectory<T> {
  /** @throws InvalidOptionError */
  constructor(options: MemoryCredentialDirectoryOptions<T>) {
    const resolved = resolveDirectoryOptions(options, TABLE);
    const prefix = checkKey(resolved.key, 'prefix', OWN_PREFIX);
    super(resolved, prefix, new MemoryBackend(resolveMemory(options), resolved.name));
  }
}
