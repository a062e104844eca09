/**
 * The link to Redis. `idle`: nothing is being watched · `connecting`: not yet live · `live`: hints arrive and the credential has been
 * observed since they do · `reconnecting`: the link was lost · `unauthorized`: Redis refuses the login or the reading; tried again
 * in the background · `closed`: for good.
 *
 * @public
 */
export type LinkStatus =
  'idle' | 'connecting' | 'live' | 'reconnecting' | 'unauthorized' | 'closed';

/**
 * Where hints come from. `keyspace`: Redis's keyspace notifications, beside announcements · `announcements`: only from
 * writers that use credstream, other writers are found by polling · `polling`: from nowhere.
 *
 * @public
 */
export type NotificationMode = 'keyspace' | 'announcements' | 'polling';

/**
 * How far a store's view can be trusted right now.
 *
 * @public
 */
export interface StoreStatus {
  /** The link to Redis, as far as this credential is concerned. */
  readonly link: LinkStatus;
  /** `fresh`: this process vouches for what it holds · `stale`: it held something and cannot · `unknown`: it holds nothing. */
  readonly freshness: 'unknown' | 'fresh' | 'stale';
  /** Up to when it could vouch, in epoch milliseconds of this machine's clock; only while `stale`. */
  readonly staleSince: number | undefined;
  /** Where hints come from; decides how soon a change by a client without credstream is seen. */
  readonly notifications: NotificationMode;
  /** Whether this process may announce its own writes to others. */
  readonly announcing: boolean;
  /** While `live`: a change in Redis is seen within this many milliseconds, whatever messages are lost. */
  readonly maxLagMs: number | undefined;
  /** Why the link is not live, if it is known; carries no secret. */
  readonly error: Error | undefined;
}

/** Nothing is being watched. */
export const idleStatus: StoreStatus = {
  link: 'idle',
  freshness: 'unknown',
  staleSince: undefined,
  notifications: 'polling',
  announcing: true,
  maxLagMs: undefined,
  error: undefined,
};

/** Watching has begun, and nothing is known of the link. */
export const startingStatus: StoreStatus = { ...idleStatus, link: 'connecting' };

/** Whether two say the same; the wall clock makes `staleSince` wobble. */
export function isSameStatus(one: StoreStatus, other: StoreStatus): boolean {
  if (one === other) return true;
  // Written out: to list the names would take longer than all the rest.
  return (
    one.link === other.link &&
    one.freshness === other.freshness &&
    one.notifications === other.notifications &&
    one.announcing === other.announcing &&
    one.maxLagMs === other.maxLagMs &&
    one.error === other.error
  );
}
