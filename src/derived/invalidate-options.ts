import { InvalidOptionError } from '../errors.js';
import { checkBoolean, checkFunction, checkMs, checkNames } from '../util/option-checks.js';
import { errorHandler, type CallbackErrorHandler } from '../util/callbacks.js';

/**
 * Options of `invalidate`.
 *
 * @public
 */
export interface InvalidateOptions {
  /**
   * The entries that depend on the credential: one key, several, or a function that says which there are now. What the function throws
   * goes to `onCallbackError`, and it is called again. Required unless `all` is `true`.
   */
  readonly keys?: string | readonly string[] | ((id: string) => Iterable<string>) | undefined;
  /** Whether to empty the whole cache, instead of `keys`. Default `false`. */
  readonly all?: boolean | undefined;
  /** Whether to remove entries also when only the end of the credential moved. Default `false`: what was made from it still holds. */
  readonly onRenewed?: boolean | undefined;
  /** How long one removal may take, in milliseconds; then it counts as failed and is tried again. Default 10,000. */
  readonly removalTimeoutMs?: number | undefined;
  /** Told what the cache and `keys` threw or rejected. Default: a process warning without the error's message. */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

export interface ResolvedInvalidateOptions {
  /** The function's iterable, as it is; without the option `undefined`. */
  readonly keys: ((id: string) => Iterable<string>) | undefined;
  readonly all: boolean;
  readonly onRenewed: boolean;
  readonly removalTimeoutMs: number;
  readonly onCallbackError: CallbackErrorHandler;
}

const NAMES = ['keys', 'all', 'onRenewed', 'removalTimeoutMs', 'onCallbackError'];

export function resolveInvalidateOptions(options: InvalidateOptions): ResolvedInvalidateOptions {
  checkNames(options, NAMES);
  checkBoolean(options.all, 'all');
  checkBoolean(options.onRenewed, 'onRenewed');
  checkFunction(options.onCallbackError, 'onCallbackError');
  const { all = false, onRenewed = false, removalTimeoutMs = 10_000 } = options;
  if (all && options.keys !== undefined) {
    throw new InvalidOptionError(
      'keys',
      'must be left out with `all: true`, which removes every entry',
    );
  }
  return {
    keys: checkKeys(options.keys),
    all,
    onRenewed,
    removalTimeoutMs: checkMs(removalTimeoutMs, 'removalTimeoutMs'),
    onCallbackError: errorHandler(options.onCallbackError),
  };
}

function checkKeys(keys: InvalidateOptions['keys']): ResolvedInvalidateOptions['keys'] {
  if (keys === undefined) return undefined;
  if (typeof keys === 'function') {
    // A string is iterable too, but nobody means its characters.
    return (id) => {
      const found = keys(id);
      return typeof found === 'string' ? [found] : found;
    };
  }
  const list: readonly unknown[] = Array.isArray(keys) ? [...(keys as readonly unknown[])] : [keys];
  if (list.length === 0 || list.some((key) => typeof key !== 'string')) {
    throw new InvalidOptionError('keys', 'must be a string, a list of strings or a function');
  }
  return () => list as readonly string[];
}
