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
 * The second argument of `create`, beside the credentials.
 *
 * @public
 */
export interface DeriveContext {
  /** The id of the credential. */
  readonly id: string;
  /** The end of the credential as known now, in epoch milliseconds of the Redis server's clock; `undefined` for no end. */
  readonly expiresAt: number | undefined;
  /**
   * Aborts when the credential is withdrawn (the change is the reason), when the value of this call is no longer wanted (another
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
   * Ends a value after its last use; called exactly once for each result of `create`, even a late one. An error that the function throws or
   * rejects with goes to `onCallbackError`. Default: values are only dropped.
   */
  readonly dispose?: ((value: V) => unknown) | undefined;
  /** Whether to start the watch and the build at once. Default `false`: on first use. */
  readonly eager?: boolean | undefined;
  /**
   * How long a replaced or withdrawn value may still be used, in milliseconds from 0, `Infinity` until the last `use` ends. A value that
   * only `use` handed out is disposed of with its last `use` if that is earlier. Default 30,000. A shorter time cuts off slow work; a longer
   * time keeps old connections open, also those of a withdrawn credential.
   */
  readonly graceMs?: number | undefined;
  /** How long one call of `create` may take, in milliseconds; then the call has failed. Default 30,000. */
  readonly createTimeoutMs?: number | undefined;
  /** How long `get` and `use` wait for a value, in milliseconds, `Infinity` without end. Default 30,000. */
  readonly getTimeoutMs?: number | undefined;
  /** How long `close()` may take, in milliseconds. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined;
  /**
   * Gets the errors that `create` and `dispose` throw or reject with. Default: a process warning without the error's message, which may hold
   * a secret.
   */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

/** The options that are undefined by default. */
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
    cost: 'Without this function values are only dropped: a connection pool stays open until it notices by itself.',
  }),
  eager: flag(
    '`true` starts the watch and the build before the first use, which then need not wait.',
  ),
  graceMs: ms({
    default: 30_000,
    min: 0,
    max: Infinity,
    cost: 'A shorter time cuts off slow work with an old value. A longer time keeps old connections open, also those of a withdrawn credential. `Infinity` waits for the last `use`, or for `close()`.',
  }),
  createTimeoutMs: ms({
    default: 30_000,
    cost: 'A shorter time gives up a slow `create` sooner, and disposes of its late result. A longer time lets a `create` that hangs hold up the next call.',
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
  signal: signal('Stops the wait; the build goes on.'),
  timeoutMs: ms({
    default: undefined,
    shown: '`getTimeoutMs`',
    max: Infinity,
    cost: 'As `getTimeoutMs`, for this call.',
  }),
};
