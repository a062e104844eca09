import type { CredentialStoreOptions, ResolvedStoreOptions } from '../options.js';
import { resolveStoreOptions } from '../options.js';
import { checkKey, checkNames } from '../../util/option-checks.js';

/**
 * Options of every credential directory: those of a store, with a `prefix` in place of the key. They hold for each of its credentials.
 *
 * @public
 */
export interface CredentialDirectoryOptions<T> extends Omit<CredentialStoreOptions<T>, 'key'> {
  /**
   * What the keys of all its credentials begin with; the id follows. Together with any id at most 1,024 bytes, no control characters. Every
   * character stands for itself. End it with a separator: `user:` also sees what a directory of `user:admin:` holds, but not `users`.
   */
  readonly prefix: string;
}

/** @throws InvalidOptionError */
export function resolveDirectoryOptions<T>(
  options: CredentialDirectoryOptions<T>,
  moreNames: readonly string[],
): ResolvedStoreOptions<T> {
  // Refused here, because the options of a store have it.
  checkNames(
    options,
    Object.keys((options as object | null) ?? {}).filter((name) => name !== 'key'),
  );
  const { prefix, ...rest } = options;
  checkKey(prefix, 'prefix');
  return resolveStoreOptions<T>({ ...rest, key: prefix }, moreNames);
}
