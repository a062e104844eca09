import type { Ttl } from '../backend/ttl.js';
import type { SaveOptions } from '../credential/contract.js';
import { EncodeError, InvalidOptionError } from '../errors.js';
import { checkTtlSeconds } from '../util/option-checks.js';
import type { SharedStoreOptions } from '../watching/entry-options.js';
import { isThenable } from '../time/timers.js';

/** The bytes must outlive the credential by this much, so that the renewing instance still finds the refresh token. */
const GRACE_MS = 60_000;

/**
 * The TTL of the bytes to save: the one of the call, else the one of the store's option.
 *
 * @throws InvalidOptionError, EncodeError
 */
export function effectiveTtl<T>(
  credentials: T,
  requested: SaveOptions<T>['ttlSeconds'],
  logicalEnd: number | undefined,
  options: SharedStoreOptions<T>,
  now: () => number,
): Ttl {
  const ttl = requested ?? defaultTtl(credentials, options) ?? 'none';
  if (typeof ttl === 'string') return ttl;
  const ms = ttl * 1000;
  if (
    logicalEnd !== undefined &&
    !options.allowEarlyRemoval &&
    now() + ms < logicalEnd + GRACE_MS
  ) {
    throw new InvalidOptionError(
      'ttlSeconds',
      'would remove the bytes before expiresAt plus a minute; allow it with allowEarlyRemoval',
    );
  }
  return ms;
}

function defaultTtl<T>(
  credentials: T,
  { ttlSeconds, context, onCallbackError }: SharedStoreOptions<T>,
): number | undefined {
  if (typeof ttlSeconds !== 'function') return ttlSeconds;
  const failed = (error: unknown): void => {
    onCallbackError(error, 'ttlSeconds');
  };
  let ttl: unknown;
  try {
    ttl = context.run(() => ttlSeconds(credentials));
  } catch (error) {
    failed(error);
    throw new EncodeError('threw', 'ttlSeconds threw');
  }
  // A promise is no TTL; its rejection must not go unhandled.
  if (isThenable(ttl)) Promise.resolve(ttl).catch(failed);
  return ttl === undefined ? undefined : checkTtlSeconds(ttl);
}
