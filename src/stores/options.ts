import { errorHandler, type CallbackErrorHandler } from '../util/callbacks.js';
import type { SharedStoreOptions } from '../watching/entry-options.js';
import { checkInstanceName, DEFAULT_INSTANCE_NAME } from '../util/instance-name.js';
import { jsonCodec, type CredentialCodec } from '../credential/codec.js';
import type { ExpiresAt } from '../credential/encoding.js';
import { InvalidOptionError } from '../errors.js';
import {
  checkBoolean,
  checkFunction,
  checkKey,
  checkMs,
  checkNames,
  checkTtlSeconds,
} from '../util/option-checks.js';

/**
 * Options of every credential store.
 *
 * @public
 */
export interface CredentialStoreOptions<T> extends Partial<CredentialCodec<T>> {
  /** Where the credential lies; 1 to 1,024 bytes, no control characters, not under `credstream:`. */
  readonly key: string;
  /**
   * How long Redis keeps the bytes, in whole seconds from 1; may depend on the credentials, `undefined` for no end. Default: no end.
   * Must not end before `expiresAt` plus a minute: the refresh token would vanish just when it is needed (see `allowEarlyRemoval`).
   */
  readonly ttlSeconds?: number | ((credentials: T) => number | undefined) | undefined;
  /**
   * When the credentials stop being valid: a `Date` or epoch milliseconds by the Redis server's clock, `undefined` for no end of their
   * own. Default: they are valid as long as the key lives.
   */
  readonly expiresAt?: ((credentials: T) => Date | number | null | undefined) | undefined;
  /** Allows a TTL that ends before `expiresAt` plus a minute. Default `false`. */
  readonly allowEarlyRemoval?: boolean | undefined;
  /** Whether a newer credential also aborts the `signal` of the one it replaces. Default `false`: healthy requests go on. */
  readonly abortOnSaved?: boolean | undefined;
  /**
   * How long memory may be served without being able to vouch for it, in milliseconds from 0, `Infinity` for ever; then it is withheld.
   * Default 30,000. Shorter fails closed earlier, longer bridges longer outages with credentials that may be revoked.
   */
  readonly maxStalenessMs?: number | undefined;
  /** How long `ready()` waits, in milliseconds, `Infinity` for ever. Default 30,000. */
  readonly readyTimeoutMs?: number | undefined;
  /** How long `serialize` and `deserialize` may take, in milliseconds. Default 5,000. */
  readonly decodeTimeoutMs?: number | undefined;
  /** How long `close()` may take, in milliseconds. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined;
  /** Largest size of the stored bytes, from 1 to 536,870,912. Larger values are neither written nor fetched. Default 1,048,576 (1 MiB). */
  readonly maxBytes?: number | undefined;
  /**
   * What other instances see beside the random id of this one, in the `origin` of changes: a label for operators, 1 to 128 characters, no
   * control characters, not secret. Default: `hostname:pid`.
   */
  readonly name?: string | undefined;
  /**
   * Told what options' functions and listeners threw or rejected. Default: a process warning without the error's message, which may
   * hold a secret.
   */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

export interface ResolvedStoreOptions<T> {
  readonly key: string;
  readonly name: string;
  /** Not among what is shared: it is mostly written in place, and so another function for each store. */
  readonly expiresAt: ExpiresAt<T> | undefined;
  /** What stores that ask for the same can share. */
  readonly shared: SharedStoreOptions<T>;
}

const NAMES = [
  'key',
  'serialize',
  'deserialize',
  'ttlSeconds',
  'expiresAt',
  'allowEarlyRemoval',
  'abortOnSaved',
  'maxStalenessMs',
  'readyTimeoutMs',
  'decodeTimeoutMs',
  'closeTimeoutMs',
  'maxBytes',
  'name',
  'onCallbackError',
];

const MAX_VALUE_BYTES = 2 ** 29;

/** One for all stores; it keeps nothing. */
const DEFAULT_CODEC: CredentialCodec<unknown> = jsonCodec<unknown>();

/** Checks everything at once and fills in defaults; `moreNames` are the options that a kind of store has beside these. */
export function resolveStoreOptions<T>(
  options: CredentialStoreOptions<T>,
  moreNames: readonly string[],
): ResolvedStoreOptions<T> {
  checkNames(options, [...NAMES, ...moreNames]);
  for (const name of ['serialize', 'deserialize', 'expiresAt', 'onCallbackError'] as const) {
    checkFunction(options[name], name);
  }
  checkBoolean(options.allowEarlyRemoval, 'allowEarlyRemoval');
  checkBoolean(options.abortOnSaved, 'abortOnSaved');
  if (options.ttlSeconds !== undefined && typeof options.ttlSeconds !== 'function') {
    checkTtlSeconds(options.ttlSeconds);
  }
  // Defaults are for what is left out; `null` is a mistake like any other.
  const {
    maxStalenessMs = 30_000,
    readyTimeoutMs = 30_000,
    decodeTimeoutMs = 5_000,
    closeTimeoutMs = 5_000,
    maxBytes = 2 ** 20,
    name = DEFAULT_INSTANCE_NAME,
  } = options;
  const key = checkKey(options.key);
  const shared: SharedStoreOptions<T> = {
    ...resolveCodec(options),
    ttlSeconds: options.ttlSeconds,
    allowEarlyRemoval: options.allowEarlyRemoval ?? false,
    abortOnSaved: options.abortOnSaved ?? false,
    maxStalenessMs: checkMs(maxStalenessMs, 'maxStalenessMs', 0, Infinity),
    readyTimeoutMs: checkMs(readyTimeoutMs, 'readyTimeoutMs', 1, Infinity),
    decodeTimeoutMs: checkMs(decodeTimeoutMs, 'decodeTimeoutMs'),
    closeTimeoutMs: checkMs(closeTimeoutMs, 'closeTimeoutMs'),
    maxBytes: checkMaxBytes(maxBytes),
    handler: options.onCallbackError,
    onCallbackError: errorHandler(options.onCallbackError),
  };
  return { key, name: checkInstanceName(name), expiresAt: options.expiresAt, shared };
}

function resolveCodec<T>(options: CredentialStoreOptions<T>): CredentialCodec<T> {
  const { serialize, deserialize } = options;
  if (serialize !== undefined && deserialize !== undefined) return { serialize, deserialize };
  if (serialize === undefined && deserialize === undefined)
    return DEFAULT_CODEC as CredentialCodec<T>;
  const missing = serialize === undefined ? 'serialize' : 'deserialize';
  throw new InvalidOptionError(
    missing,
    'must be given too: serialize and deserialize belong together',
  );
}

function checkMaxBytes(value: unknown): number {
  if (
    typeof value === 'number' &&
    Number.isSafeInteger(value) &&
    value >= 1 &&
    value <= MAX_VALUE_BYTES
  )
    return value;
  throw new InvalidOptionError(
    'maxBytes',
    `must be a whole number from 1 to ${String(MAX_VALUE_BYTES)}`,
  );
}
