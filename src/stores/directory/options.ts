import type { ClearAllOptions } from './contract.js';
import {
  sharedOptions,
  STORE_OPTIONS,
  type CredentialStoreOptions,
  type ResolvedStoreOptions,
  type StoreOptionsOpen,
} from '../options.js';
import { checkKey } from '../../util/option-checks.js';
import {
  callback,
  checkNames,
  count,
  reason,
  required,
  resolvePart,
  signal,
  type OptionRows,
  type OptionsTable,
} from '../../util/options.js';

/**
 * Options of every credential directory: those of a store, with a `prefix` in place of the key. They apply to each credential.
 *
 * @public
 */
export interface CredentialDirectoryOptions<T> extends Omit<CredentialStoreOptions<T>, 'key'> {
  /**
   * The common beginning of the keys of all its credentials; the id follows. Prefix and id have at most 1,024 bytes together, and no control
   * characters. Every character stands for itself. End the prefix with a separator: a directory of `user:` also has the credentials of
   * `user:admin:`, but not those of `users`.
   */
  readonly prefix: string;
}

const { key: _key, ...EACH } = STORE_OPTIONS;

/** The options of every directory. */
export const DIRECTORY_OPTIONS: OptionsTable<
  CredentialDirectoryOptions<unknown>,
  StoreOptionsOpen
> = {
  ...EACH,
  prefix: required({
    check: checkKey,
    range: 'as `key`, with every id',
    cost: 'Another prefix is another directory. A separator at the end (`user:`) keeps ids of others out, such as those of `users`.',
  }),
};

/**
 * Checks everything at once and fills in defaults.
 *
 * @param table - the options of the kind of directory: those of every directory and its own
 * @throws InvalidOptionError
 */
export function resolveDirectoryOptions<T>(
  options: CredentialDirectoryOptions<T>,
  table: OptionRows,
): ResolvedStoreOptions<T> {
  checkNames(table, options);
  const { prefix, name, ...each } = resolvePart<CredentialDirectoryOptions<T>, StoreOptionsOpen>(
    DIRECTORY_OPTIONS,
    options,
  );
  return { key: prefix, name, expiresAt: each.expiresAt, shared: sharedOptions(each) };
}

/** The options of `clearAll()`. */
export const CLEAR_ALL_OPTIONS: OptionsTable<ClearAllOptions, 'reason' | 'onProgress' | 'signal'> =
  {
    reason: reason('Carried to other processes in each `cleared` change. Not secret.'),
    concurrency: count({
      default: 64,
      max: 1_000,
      cost: 'More removals at the same time finish sooner, and burden the server more.',
    }),
    onProgress: callback({
      default: undefined,
      cost: 'Gets the counts after each credential, removed or not.',
    }),
    signal: signal('Stops `clearAll()`; removals under way may still happen.'),
  };
