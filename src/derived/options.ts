import { checkBoolean, checkFunction, checkMs, checkNames } from '../util/option-checks.js';
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

export interface ResolvedDeriveOptions<V> {
  readonly dispose: ((value: V) => unknown) | undefined;
  readonly eager: boolean;
  readonly graceMs: number;
  readonly createTimeoutMs: number;
  readonly getTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly onCallbackError: CallbackErrorHandler;
}

const NAMES = [
  'dispose',
  'eager',
  'graceMs',
  'createTimeoutMs',
  'getTimeoutMs',
  'closeTimeoutMs',
  'onCallbackError',
];

export function resolveDeriveOptions<V>(options: DeriveOptions<V>): ResolvedDeriveOptions<V> {
  checkNames(options, NAMES);
  for (const name of ['dispose', 'onCallbackError'] as const) checkFunction(options[name], name);
  checkBoolean(options.eager, 'eager');
  const {
    dispose,
    eager = false,
    graceMs = 30_000,
    createTimeoutMs = 30_000,
    getTimeoutMs = 30_000,
    closeTimeoutMs = 5_000,
  } = options;
  return {
    dispose,
    eager,
    graceMs: checkMs(graceMs, 'graceMs', 0, Infinity),
    createTimeoutMs: checkMs(createTimeoutMs, 'createTimeoutMs'),
    getTimeoutMs: checkMs(getTimeoutMs, 'getTimeoutMs', 1, Infinity),
    closeTimeoutMs: checkMs(closeTimeoutMs, 'closeTimeoutMs'),
    onCallbackError: errorHandler(options.onCallbackError),
  };
}
