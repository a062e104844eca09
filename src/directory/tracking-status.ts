import type { KeyFeed } from '../credential-backend.js';
import type { LinkStatus, StoreStatus } from '../store-status.js';

/**
 * The status while not everything is known, or not any longer.
 *
 * @param complete - whether everything was known once
 * @param refusal - why Redis does not let everything be listed
 */
export function statusBehind(
  { link, fresh, error }: KeyFeed,
  complete: boolean,
  staleSince: number | undefined,
  refusal: Error | undefined,
): StoreStatus {
  const catchingUp: LinkStatus = complete ? 'reconnecting' : 'connecting';
  return {
    ...fresh,
    link: link !== 'live' ? link : refusal === undefined ? catchingUp : 'unauthorized',
    freshness: complete ? 'stale' : 'unknown',
    staleSince,
    boundMs: undefined,
    error: refusal ?? error,
  };
}
