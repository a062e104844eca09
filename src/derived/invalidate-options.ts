import { systemClock, type Clock } from '../time/clock.js';
import { InvalidOptionError } from '../errors.js';
import {
  checkBoolean,
  checkClock,
  checkFunction,
  checkMs,
  checkNames,
} from '../util/option-checks.js';
import { errorHandler, type CallbackErrorHandler } from '../util/callbacks.js';

/**
 * Options of `invalidate`.
 *
 * @public
 */
export interface InvalidateOptions {
  /**
   * The entries that depend on the credential: one key, several, or a function that says which there are now. What the function throws
   * goes to `onCallbackError`, and it is called again. Default: the `id` of the store.
   */
  readonly keys?: string | readonly string[] | ((id: string) => Iterable<string>) | undefined;
  /** Whether to empty the whole cache, instead of `keys`. Default `false`. */
  readonly clearAll?: boolean | undefined;
  /** Whether to remove entries also when only the end of the credential moved. Default `false`: what was made from it still holds. */
  readonly onRenewed?: boolean | undefined;
  /** How long one removal may take, in milliseconds; then it counts as failed and is tried again. Default 10,000. */
  readonly removalTimeoutMs?: number | undefined;
  /** Told what the cache and `keys` threw or rejected. Default: a process warning without the error's message. */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
  /** Time; default the machine's. Tests give the virtual one of the store. */
  readonly clock?: Clock | undefined;
  /** Gives numbers from 0 to below 1, for the jitter of pauses; default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export interface ResolvedInvalidateOptions {
  /** The function's iterable, as it is; without the option `undefined`. */
  readonly keys: ((id: string) => Iterable<string>) | undefined;
  readonly clearAll: boolean;
  readonly onRenewed: boolean;
  readonly removalTimeoutMs: number;
  readonly onCallbackError: CallbackErrorHandler;
  readonly clock: Clock;
  readonly random: () => number;
}

const NAMES = [
  'keys',
  'clearAll',
  'onRenewed',
  'removalTimeoutMs',
  'onCallbackError',
  'clock',
  'random',
];

export function resolveInvalidateOptions(options: InvalidateOptions): ResolvedInvalidateOptions {
  checkNames(options, NAMES);
  checkBoolean(options.clearAll, 'clearAll');
  checkBoolean(options.onRenewed, 'onRenewed');
  checkFunction(options.onCallbackError, 'onCallbackError');
  checkFunction(options.random, 'random');
  const {
    clearAll = false,
    onRenewed = false,
    removalTimeoutMs = 10_000,
    clock = systemClock,
    random = Math.random,
  } = options;
  if (clearAll && options.keys !== undefined) {
    throw new InvalidOptionError(
      'keys',
      'must be left out with clearAll, which removes every entry',
    );
  }
  return {
    keys: checkKeys(options.keys),
    clearAll,
    onRenewed,
    removalTimeoutMs: checkMs(removalTimeoutMs, 'removalTimeoutMs'),
    onCallbackError: errorHandler(options.onCallbackError),
    clock: checkClock(clock),
    random,
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
