import { AsyncContext } from '../time/async-context.js';
import { errorHandler, type CallbackErrorHandler } from '../util/callbacks.js';
import type { SharedStoreOptions } from '../watching/entry-options.js';
import { checkInstanceName, DEFAULT_INSTANCE_NAME } from '../util/instance-name.js';
import { jsonCodec, type CredentialCodec } from '../credential/codec.js';
import type { ExpiresAt } from '../credential/encoding.js';
import { InvalidOptionError } from '../errors.js';
import type { ReadyOptions } from '../credential/contract.js';
import { checkKey, checkTtlSeconds } from '../util/option-checks.js';
import {
  callback,
  callbackErrors,
  checkNames,
  count,
  flag,
  ms,
  option,
  required,
  resolvePart,
  signal,
  type OptionRows,
  type OptionsTable,
  type Resolved,
} from '../util/options.js';

/**
 * Options of every credential store.
 *
 * @public
 */
export interface CredentialStoreOptions<T> extends Partial<CredentialCodec<T>> {
  /** The key of the credential in Redis; 1 to 1,024 bytes, no control characters, not under the store's own namespace, `credstream:`. */
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
  /** Whether a newer credential also aborts the `signal` of the credential that it replaces. Default `false`: healthy requests go on. */
  readonly abortOnSaved?: boolean | undefined;
  /**
   * How long a credential is served from memory that this process can no longer vouch for, in milliseconds from 0, `Infinity` for ever;
   * then the credential is withheld. Default 30,000. A shorter time fails closed earlier; a longer time bridges longer outages with
   * credentials that may be revoked.
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
   * The label that other instances see beside the random id of this one, in the `origin` of changes: for operators, 1 to 128 characters,
   * no control characters, not secret. Default: `hostname:pid`.
   */
  readonly name?: string | undefined;
  /**
   * Gets the errors that functions of options and listeners throw or reject with. Default: a process warning without the error's message,
   * which may hold a secret.
   */
  readonly onCallbackError?: CallbackErrorHandler | undefined;
}

export interface ResolvedStoreOptions<T> {
  readonly key: string;
  readonly name: string;
  /** Not shared: most callers write this function in place, so that it differs from store to store. */
  readonly expiresAt: ExpiresAt<T> | undefined;
  /** One object for all stores with equal options. */
  readonly shared: SharedStoreOptions<T>;
}

/** The options that are undefined by default. */
export type StoreOptionsOpen =
  'serialize' | 'deserialize' | 'ttlSeconds' | 'expiresAt' | 'onCallbackError';

/** The options of every store. */
export const STORE_OPTIONS: OptionsTable<CredentialStoreOptions<unknown>, StoreOptionsOpen> = {
  key: required({
    check: checkKey,
    range: '1 to 1,024 bytes, no control characters, not under the namespace, `credstream:`',
    cost: 'Another key is another credential.',
  }),
  serialize: callback({
    default: undefined,
    shown: '`jsonCodec()`',
    cost: 'Belongs together with `deserialize`. The key holds exactly the bytes that this function returns.',
  }),
  deserialize: callback({
    default: undefined,
    shown: '`jsonCodec()`',
    cost: 'Without a schema nothing checks the bytes that are read: the type `T` is a claim.',
  }),
  ttlSeconds: option({
    default: undefined,
    check: (value, name) => typeof value === 'function' || checkTtlSeconds(value, name),
    range: 'a whole number from 1, or a function of the credentials',
    cost: 'Without a TTL the bytes stay until they are cleared. A short TTL takes the refresh token away with the access token.',
  }),
  expiresAt: callback({
    default: undefined,
    cost: 'Without this function the end of the TTL is the only end. The function runs at every observation and should be quick.',
  }),
  allowEarlyRemoval: flag(
    '`true` lets a TTL end before `expiresAt` plus a minute: right for credentials without a refresh token.',
  ),
  abortOnSaved: flag('`true` aborts running requests at every rotation, healthy ones too.'),
  maxStalenessMs: ms({
    default: 30_000,
    min: 0,
    max: Infinity,
    suspectBelow: 100,
    cost: 'A shorter time fails closed earlier: a short loss of the link becomes an outage. A longer time serves credentials for longer that may have been revoked. `Infinity` never withholds.',
  }),
  readyTimeoutMs: ms({
    default: 30_000,
    max: Infinity,
    suspectBelow: 100,
    cost: 'A shorter time lets a start without Redis fail sooner. `Infinity` waits for ever.',
  }),
  decodeTimeoutMs: ms({
    default: 5_000,
    cost: 'Bounds an async `serialize` or `deserialize`. A longer time lets a slow one hold up the changes behind it for longer.',
  }),
  closeTimeoutMs: ms({
    default: 5_000,
    cost: 'A shorter time gives up sooner on writes under way; whether they happened is then unknown.',
  }),
  maxBytes: count({
    default: 2 ** 20,
    max: 2 ** 29,
    cost: 'The default is 1 MiB. A larger limit lets a foreign value of that size travel to every process that watches.',
  }),
  name: option({
    default: DEFAULT_INSTANCE_NAME,
    shown: '`hostname:pid`',
    check: checkInstanceName,
    range: 'a string of 1 to 128 characters, no control characters',
    cost: 'The label that other instances see beside the random id of this one. The name of the pod or of the service leads an operator to the process.',
  }),
  onCallbackError: callbackErrors('functions and listeners of the caller'),
};

/** One codec serves all stores, because it has no state. */
const DEFAULT_CODEC: CredentialCodec<unknown> = jsonCodec<unknown>();

/**
 * Checks everything at once and fills in defaults.
 *
 * @param table - the options of the kind of store: those of every store and its own
 * @throws InvalidOptionError
 */
export function resolveStoreOptions<T>(
  options: CredentialStoreOptions<T>,
  table: OptionRows = STORE_OPTIONS,
): ResolvedStoreOptions<T> {
  checkNames(table, options);
  const { key, name, ...rest } = resolvePart<CredentialStoreOptions<T>, StoreOptionsOpen>(
    STORE_OPTIONS,
    options,
  );
  return { key, name, expiresAt: rest.expiresAt, shared: sharedOptions(rest) };
}

/** The options that do not depend on the key. */
export function sharedOptions<T>(
  options: Omit<Resolved<CredentialStoreOptions<T>, StoreOptionsOpen>, 'key' | 'name'>,
): SharedStoreOptions<T> {
  const { serialize, deserialize, expiresAt: _own, onCallbackError: handler, ...values } = options;
  const context = AsyncContext.capture();
  return {
    ...codecOf(serialize, deserialize),
    ...values,
    context,
    handler,
    onCallbackError: errorHandler(handler && context.bind(handler)),
  };
}

function codecOf<T>(
  serialize: CredentialCodec<T>['serialize'] | undefined,
  deserialize: CredentialCodec<T>['deserialize'] | undefined,
): CredentialCodec<T> {
  if (serialize !== undefined && deserialize !== undefined) return { serialize, deserialize };
  if (serialize === undefined && deserialize === undefined)
    return DEFAULT_CODEC as CredentialCodec<T>;
  const missing = serialize === undefined ? 'serialize' : 'deserialize';
  throw new InvalidOptionError(
    missing,
    'must be given too: serialize and deserialize belong together',
  );
}

/** The options of `ready()`. */
export const READY_OPTIONS: OptionsTable<ReadyOptions, keyof ReadyOptions> = {
  signal: signal('Stops the wait; the store goes on watching.'),
  timeoutMs: ms({
    default: undefined,
    shown: '`readyTimeoutMs`',
    max: Infinity,
    suspectBelow: 100,
    cost: 'As `readyTimeoutMs`, for this call.',
  }),
};
