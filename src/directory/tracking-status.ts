import type { KeyFeed } from '../credential-backend.js';
import { RefusedError } from '../errors.js';
import type { LinkStatus, StoreStatus } from '../store-status.js';

/**
 * The status while not everything is known, or not any longer.
 *
 * @param complete - whether everything was known once
 * @param failure - why not everything could be listed; an interruption passes, and is no refusal
 */
export function statusBehind(
  { link, fresh, error }: KeyFeed,
  complete: boolean,
  staleSince: number | undefined,
  failure: Error | undefined,
): StoreStatus {
  const catchingUp: LinkStatus = complete ? 'reconnecting' : 'connecting';
  const whileLinked = failure instanceof RefusedError ? 'unauthorized' : catchingUp;
  return {
    ...fresh,
    link: link === 'live' ? whileLinked : link,
    freshness: complete ? 'stale' : 'unknown',
    staleSince,
    boundMs: undefined,
    error: failure ?? error,
  };
}
