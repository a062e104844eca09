import { InvalidOptionError } from '../../errors.js';
import {
  callbackErrors,
  flag,
  ms,
  option,
  resolveOptions,
  type OptionsTable,
  type Resolved,
} from '../../util/options.js';
import { errorHandler, type CallbackErrorHandler } from '../../util/callbacks.js';

/**
 * Options of `invalidate`.
 *
 * @public
 */
export interface InvalidateOptions {
  /**
   * The entries that depend on the credential: one key, several, or a function that returns the keys of now. An error of the function goes
   * to `onCallbackError`, and the function is called again. Required unless `all` is `true`.
   */
  readonly keys?: string | readonly string[] | ((id: string) => Iterable<string>) | undefined;
  /** Whether to empty the whole cache, instead of `keys`. Default `false`. */
  readonly all?: boolean | undefined;
  /** Whether to remove entries also when only the end of the credential moved. Default `false`: the entries still hold. */
  readonly onRenewed?: boolean | undefined;
  /** How long one removal may take, in milliseconds; then the removal has failed and is repeated. Default 10,000. */
  readonly removalTimeoutMs?: number | undefined;
  /** Gets the errors that the cache and `keys` throw or reject with. Default: a process warning without the error's message. */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

type InvalidateOptionsOpen = 'keys' | 'onCallbackError';

export interface ResolvedInvalidateOptions extends Omit<
  Resolved<InvalidateOptions, InvalidateOptionsOpen>,
  InvalidateOptionsOpen
> {
  /** `undefined` without the option. */
  readonly keys: ((id: string) => Iterable<string>) | undefined;
  readonly onCallbackError: CallbackErrorHandler;
}

/** The options of `invalidate`. */
export const INVALIDATE_OPTIONS: OptionsTable<InvalidateOptions, InvalidateOptionsOpen> = {
  keys: option({
    default: undefined,
    shown: 'none: `keys` or `all: true` is required',
    check: (value, name) => {
      if (typeof value === 'function') return;
      const list: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (list.length === 0 || list.some((key) => typeof key !== 'string'))
        throw new InvalidOptionError(name, 'must be a string, a list of strings or a function');
    },
    range: 'a string, a list of strings, or a function of the id',
    cost: 'A function is called at every invalidation.',
  }),
  all: flag('`true` also removes entries that have nothing to do with the credential.'),
  onRenewed: flag('`true` also empties the cache when only the end of the credential moved.'),
  removalTimeoutMs: ms({
    default: 10_000,
    cost: 'A shorter time repeats a removal from a slow cache sooner, and the two removals may overlap. A longer time lets a removal that hangs hold up the next one.',
  }),
  onCallbackError: callbackErrors('the cache and `keys`'),
};

/** Checks everything at once and fills in defaults. @throws InvalidOptionError */
export function resolveInvalidateOptions(options: InvalidateOptions): ResolvedInvalidateOptions {
  const resolved = resolveOptions(INVALIDATE_OPTIONS, options);
  const { keys, all, onCallbackError } = resolved;
  if (all && keys !== undefined) {
    throw new InvalidOptionError(
      'keys',
      'must be left out with `all: true`, which removes every entry',
    );
  }
  return { ...resolved, keys: keysOf(keys), onCallbackError: errorHandler(onCallbackError) };
}

function keysOf(keys: InvalidateOptions['keys']): ResolvedInvalidateOptions['keys'] {
  if (keys === undefined) return undefined;
  if (typeof keys === 'function') {
    // A string is iterable, but its characters are no keys.
    return (id) => {
      const found = keys(id);
      return typeof found === 'string' ? [found] : found;
    };
  }
  const list = typeof keys === 'string' ? [keys] : [...keys];
  return () => list;
}
