/**
 * The link to Redis. `idle`: nothing is being watched · `connecting`: not yet live · `live`: hints arrive and the credential has been
 * observed since they do · `reconnecting`: the link was lost · `unauthorized`: Redis refuses the login or the reading, which the store
 * repeats in the background · `closed`: for good.
 *
 * @public
 */
export type LinkStatus =
  'idle' | 'connecting' | 'live' | 'reconnecting' | 'unauthorized' | 'closed';

/**
 * The source of hints. `keyspace`: Redis's keyspace notifications, beside announcements · `announcements`: only writers that use
 * credstream; polling finds other writers · `polling`: none.
 *
 * @public
 */
export type NotificationMode = 'keyspace' | 'announcements' | 'polling';

/**
 * A command that runs scripts.
 *
 * @public
 */
export type ScriptCommand = 'EVAL' | 'EVALSHA';

/**
 * How far a store's view can be trusted right now.
 *
 * @public
 */
export interface StoreStatus {
  /** The link to Redis, as far as this credential is concerned. */
  readonly link: LinkStatus;
  /**
   * `fresh`: this process vouches for the state it knows · `stale`: it knew a state and cannot vouch any longer · `unknown`: it knows none.
   */
  readonly freshness: 'unknown' | 'fresh' | 'stale';
  /** The instant until which this process could vouch, in epoch milliseconds of this machine's clock; only while `stale`. */
  readonly staleSince: number | undefined;
  /** The source of hints; decides how soon a change by a client without credstream is seen. */
  readonly notifications: NotificationMode;
  /** Whether this process may announce its own writes to others. */
  readonly announcing: boolean;
  /**
   * The command by which Redis refuses scripts to this user, found by trying when the link opens: `onlyIf` with a snapshot, `update` and
   * re-authentication are refused then, and everything else works. `undefined` where scripts run, or nothing is known.
   */
  readonly scriptsRefused: ScriptCommand | undefined;
  /** While `live`: a change in Redis is seen within this many milliseconds, whatever messages are lost. */
  readonly maxLagMs: number | undefined;
  /**
   * The longest time for which a credential is served from memory after the last proof that changes would have arrived, in milliseconds:
   * `maxStalenessMs`, at least `heartbeatMs + replyTimeoutMs`. Every read compares this limit with the clock, also while `live`; `undefined`
   * while nothing is known.
   */
  readonly servingLimitMs: number | undefined;
  /**
   * The wall clock of this machine minus that of the Redis server, in whole milliseconds: positive when this machine is ahead. As exact as half
   * of the fastest round trip. Each read of `status` compares anew, and shows a difference from the last one beyond 1 ms; `status$` does not emit because of it. In a Redis Cluster the server of the
   * key, of a directory the server with the largest difference. `undefined` until a reading has shown the server's clock.
   */
  readonly clockSkewMs: number | undefined;
  /** Why the link is not live, if known; carries no secret. */
  readonly error: Error | undefined;
}

/** Nothing is being watched. */
export const idleStatus: StoreStatus = {
  link: 'idle',
  freshness: 'unknown',
  staleSince: undefined,
  notifications: 'polling',
  announcing: true,
  scriptsRefused: undefined,
  maxLagMs: undefined,
  servingLimitMs: undefined,
  clockSkewMs: undefined,
  error: undefined,
};

/** Watching has begun, and nothing is known of the link. */
export const startingStatus: StoreStatus = { ...idleStatus, link: 'connecting' };

/**
 * Shows statuses as they are now: with the skew of the clocks, and `stale` where the proof behind a fresh one is too old. A status is shown by
 * the same object while nothing changes. The views belong to the statuses, which very many stores share, and not to the stores.
 */
export class StatusViews {
  readonly #skewMs: () => number | undefined;
  readonly #views = new WeakMap<StoreStatus, StoreStatus>();

  constructor(skewMs: () => number | undefined) {
    this.#skewMs = skewMs;
  }

  /** @param staleSince - the end of the time for which a fresh status is proven, by the wall clock, if it has passed */
  of(status: StoreStatus, staleSince?: number): StoreStatus {
    const before = this.#views.get(status);
    let clockSkewMs = this.#skewMs();
    // The process may have stood still between the readings of two clocks: only a second difference counts.
    if (before !== undefined && !isNear(before.clockSkewMs, clockSkewMs))
      clockSkewMs = this.#skewMs();
    if (clockSkewMs === undefined && staleSince === undefined) return status;
    const isStill =
      before !== undefined &&
      isNear(before.clockSkewMs, clockSkewMs) &&
      isNear(before.staleSince, staleSince ?? status.staleSince);
    if (isStill) return before;
    const view = {
      ...status,
      ...(staleSince !== undefined && unproven(staleSince)),
      clockSkewMs,
    };
    this.#views.set(status, view);
    return view;
  }

  /** The same for a status that is shown once, as that of an event: nothing is kept. */
  passing(status: StoreStatus): StoreStatus {
    const clockSkewMs = this.#skewMs();
    return clockSkewMs === undefined ? status : { ...status, clockSkewMs };
  }
}

/** Clocks count whole milliseconds, so that what two of them give wobbles by one. */
function isNear(one: number | undefined, other: number | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Math.abs(one - other) <= 1;
}

function unproven(staleSince: number): Partial<StoreStatus> {
  return { link: 'reconnecting', freshness: 'stale', staleSince, maxLagMs: undefined };
}

/** Whether two statuses are equal; `staleSince` and `clockSkewMs` are left out, because the wall clock makes them wobble. */
export function isSameStatus(one: StoreStatus, other: StoreStatus): boolean {
  if (one === other) return true;
  // Written out, because a loop over the names would cost more than the rest.
  return (
    one.link === other.link &&
    one.freshness === other.freshness &&
    one.notifications === other.notifications &&
    one.announcing === other.announcing &&
    one.scriptsRefused === other.scriptsRefused &&
    one.maxLagMs === other.maxLagMs &&
    one.servingLimitMs === other.servingLimitMs &&
    one.error === other.error
  );
}
