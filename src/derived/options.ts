import type { DerivedWaitOptions } from './derived.js';
import {
  callback,
  callbackErrors,
  flag,
  ms,
  resolveOptions,
  signal,
  type OptionsTable,
  type Resolved,
} from '../util/options.js';
import { errorHandler, type CallbackErrorHandler } from '../util/callbacks.js';

/**
 * What `create` is told beside the credentials.
 *
 * @public
 */
export interface DeriveContext {
  /** What names the credential. */
  readonly id: string;
  /** When the credential ends as far as is known now, in epoch milliseconds of the Redis server's clock; `undefined` for no end. */
  readonly expiresAt: number | undefined;
  /**
   * Aborts when the credential is withdrawn (the change is the reason), when this call's value is not wanted any longer (another
   * credential came, `createTimeoutMs` passed, closed), and at the latest right before the value is disposed of.
   */
  readonly signal: AbortSignal;
}

/**
 * Options of `derive`.
 *
 * @public
 */
export interface DeriveOptions<V> {
  /**
   * Ends a value that is not used any longer; called exactly once for each that `create` gave, also too late. What it throws or rejects
   * goes to `onCallbackError`. Default: values are only dropped.
   */
  readonly dispose?: ((value: V) => unknown) | undefined;
  /** Whether to watch and build at once. Default `false`: on first use. */
  readonly eager?: boolean | undefined;
  /**
   * How long a value that was replaced or withdrawn may still be used, in milliseconds from 0, `Infinity` until the last `use` ends. One that only
   * `use` was given is disposed of with its last `use` if that is earlier. Default 30,000. Shorter cuts off slow work, longer keeps old
   * connections open, and with them what a withdrawn credential opened.
   */
  readonly graceMs?: number | undefined;
  /** How long one call of `create` may take, in milliseconds; then it counts as failed. Default 30,000. */
  readonly createTimeoutMs?: number | undefined;
  /** How long `get` and `use` wait for a value, in milliseconds, `Infinity` without end. Default 30,000. */
  readonly getTimeoutMs?: number | undefined;
  /** How long `close()` may take, in milliseconds. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined;
  /** Told what `create` and `dispose` threw or rejected. Default: a process warning without the error's message, which may hold a secret. */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

/** Those that are undefined when they are left out. */
export type DeriveOptionsOpen = 'dispose' | 'onCallbackError';

export interface ResolvedDeriveOptions<V> extends Omit<
  Resolved<DeriveOptions<V>, DeriveOptionsOpen>,
  'onCallbackError'
> {
  readonly onCallbackError: CallbackErrorHandler;
}

/** The options of `derive`. */
export const DERIVE_OPTIONS: OptionsTable<DeriveOptions<unknown>, DeriveOptionsOpen> = {
  dispose: callback({
    default: undefined,
    cost: 'Without it values are dropped: a pool stays open until it notices itself.',
  }),
  eager: flag(
    '`true` watches, and builds before anybody needs the value: the first caller need not wait.',
  ),
  graceMs: ms({
    default: 30_000,
    min: 0,
    max: Infinity,
    cost: 'A shorter time cuts off slow work with an old value. A longer time keeps old connections open, also those that a withdrawn credential opened. `Infinity` waits for the last `use`, or for `close()`.',
  }),
  createTimeoutMs: ms({
    default: 30_000,
    cost: 'A shorter time gives up a slow server sooner, and disposes of what it gives later. A longer time lets a server that hangs hold up the next try.',
  }),
  getTimeoutMs: ms({
    default: 30_000,
    max: Infinity,
    cost: 'Bounds how long `get` and `use` wait for a value. `Infinity` waits until there is one.',
  }),
  closeTimeoutMs: ms({
    default: 5_000,
    cost: 'A shorter time cuts off running uses sooner. A longer time lets a use that hangs hold up the shutdown.',
  }),
  onCallbackError: callbackErrors('`create` and `dispose`'),
};

/** Checks everything at once and fills in defaults. @throws InvalidOptionError */
export function resolveDeriveOptions<V>(options: DeriveOptions<V>): ResolvedDeriveOptions<V> {
  const resolved = resolveOptions<DeriveOptions<V>, DeriveOptionsOpen>(DERIVE_OPTIONS, options);
  return { ...resolved, onCallbackError: errorHandler(resolved.onCallbackError) };
}

/** The options of `get` and `use` of a derived value. */
export const WAIT_OPTIONS: OptionsTable<DerivedWaitOptions, keyof DerivedWaitOptions> = {
  signal: signal('Stops waiting; building goes on.'),
  timeoutMs: ms({
    default: undefined,
    shown: '`getTimeoutMs`',
    max: Infinity,
    cost: 'As `getTimeoutMs`, for this call.',
  }),
};
