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
 * @param table - what a kind of directory takes: these options, and mostly some of its own
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
    reason: reason('Tells other processes, in each `cleared` change. It is not secret.'),
    concurrency: count({
      default: 64,
      max: 1_000,
      cost: 'More at the same time finish sooner, and burden the server more.',
    }),
    onProgress: callback({
      default: undefined,
      cost: 'Gets the count after each credential, removed or not.',
    }),
    signal: signal('Stops; removals under way may still happen.'),
  };
