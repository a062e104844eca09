import type { AttemptBackend } from './attempts.js';
import type { Content } from '../credential/content.js';
import type { ChangeOrigin } from '../credential/origin.js';
import type { Clock } from '../time/clock.js';
import type { RefusedError, UnavailableError } from '../errors.js';
import type { LinkProof } from './link-proof.js';
import type { Ttl } from './ttl.js';
import type { OptionSharing } from '../util/option-sharing.js';
import {
  StatusViews,
  type LinkStatus,
  type NotificationMode,
  type ScriptCommand,
  type StoreStatus,
} from '../credential/status.js';
import type { ServerTime } from '../time/server-time.js';

/*
 * The seam between the stores and the place where credentials are kept: keys, bytes, ends, hints and observations. The meaning of a
 * credential, its expiry, the change that follows from an observation, and staleness are decided above the seam, once for every backend.
 */

/** One atomic reading of a key. */
export interface Observation {
  readonly content: Content;
  /** The instant at which the server drops the key, in epoch milliseconds of its clock; `undefined` for a key without TTL. */
  readonly expiresAt: number | undefined;
  /** The precision of `expiresAt`: two readings of an unchanged end differ by no more. */
  readonly toleranceMs: number;
  /** An unchanged end may be read as later by this time: the key may have moved to another server. Default 0. */
  readonly lateMs?: number;
  /** The server's clock at the reading, in epoch milliseconds with fractions. */
  readonly serverNow: number;
  /** The server time that `expiresAt` and `serverNow` belong to; this reading has narrowed its bounds. */
  readonly time: ServerTime;
}

/** Something may have happened at a key. A hint labels the change that the next observation shows; it proves nothing. */
export type Hint =
  | { readonly type: 'written'; readonly origin: ChangeOrigin; readonly reason: string | undefined }
  | {
      readonly type: 'removed';
      readonly as: 'expired' | 'cleared' | 'evicted';
      readonly origin: ChangeOrigin;
      readonly reason: string | undefined;
    };

/** A re-authentication may have ended. The hint says nothing about the key. */
export interface AttemptHint {
  readonly type: 'attempt';
}

/** The condition of the feed of one key: an immutable value, with the growing proof of its link. */
export interface FeedCondition {
  readonly link: Exclude<LinkStatus, 'idle'>;
  /** Changes after every gap: all known states must be read again. */
  readonly generation: number;
  /** The gap before this generation: a new link, the loss of all data, or a step of this machine's clocks. */
  readonly gap: 'link' | 'data' | 'clock';
  readonly notifications: NotificationMode;
  /** Whether this process may announce its writes. */
  readonly announcing: boolean;
  /** The command by which scripts are refused; `undefined` where they run or the backend has none. */
  readonly scriptsRefused?: ScriptCommand | undefined;
  /** The longest delay of a change while the link is live, even if every hint is lost, in milliseconds. */
  readonly maxLagMs: number;
  /** The period within which the known keys are read because hints can be lost, in milliseconds; `undefined` where none can, or all keys are polled. */
  readonly sweepMs?: number | undefined;
  /** The reason why the link is not live. */
  readonly error: Error | undefined;
  readonly proof: Pick<LinkProof, 'confirmedAt' | 'confirmedAsOf'>;
  /** This machine's wall clock minus the server's, in milliseconds, as far as known. */
  readonly skewMs?: () => number | undefined;
  /** The longest time between two proofs of a living link, in milliseconds. */
  readonly provenWithinMs: number;
  /** The status of a store that is up to date with this feed; one object for all stores with the same limit. */
  fresh(servingLimitMs: number): StoreStatus;
  /** The status of a store without an observation; one object for all of them. */
  readonly unseen: StoreStatus;
  /** The statuses as they are shown in this condition. */
  readonly views: StatusViews;
}

/** The longest time after a proof for which a credential is served from memory, in milliseconds. */
export function servingLimitMs({ provenWithinMs }: FeedCondition, maxStalenessMs: number): number {
  return Math.max(maxStalenessMs, provenWithinMs);
}

export function createFeedCondition(
  condition: Omit<FeedCondition, 'fresh' | 'unseen' | 'views'>,
): FeedCondition {
  const { link, notifications, announcing, scriptsRefused, maxLagMs, error } = condition;
  const fresh = memoized((servingLimitMs): StoreStatus => {
    const lagMs = link === 'live' ? maxLagMs : undefined;
    return {
      link,
      freshness: 'fresh',
      staleSince: undefined,
      notifications,
      announcing,
      scriptsRefused,
      maxLagMs: lagMs,
      servingLimitMs,
      clockSkewMs: undefined,
      error,
    };
  });
  const unseen: StoreStatus = {
    ...fresh(0),
    link: link === 'live' ? 'connecting' : link,
    freshness: 'unknown',
    maxLagMs: undefined,
    servingLimitMs: undefined,
  };
  const views = new StatusViews(() => condition.skewMs?.());
  return { ...condition, fresh, unseen, views };
}

/** Stores have few different limits, and there may be very many stores. */
function memoized(create: (servingLimitMs: number) => StoreStatus): typeof create {
  const made = new Map<number, StoreStatus>();
  return (servingLimitMs) => {
    let status = made.get(servingLimitMs);
    if (status === undefined) made.set(servingLimitMs, (status = create(servingLimitMs)));
    return status;
  };
}

/** The part of the key space that a subscription is to: one key, or all keys that begin with a prefix. */
export type SubscriptionTarget = { readonly key: string } | { readonly prefix: string };

/**
 * The result of a request for an observation. `requested`: an observation follows · `elsewhere`: it may go over another link than that of the
 * calling feed · `none`: no key can be read now.
 */
export type PollResult = 'requested' | 'elsewhere' | 'none';

/** The receiver of the hints and conditions of a subscription. A single key is a prefix with one key. Must not throw. */
export interface Subscriber {
  /** The number of keys that the polls go through one by one; they share the heartbeat. */
  readonly size: number;
  /** The shortest time for which one of the keys may be served without a proof of the link, in milliseconds. */
  readonly maxStalenessMs: number;
  /** The key may be unknown to the subscriber. */
  hint(key: string, hint: Hint | AttemptHint): void;
  /**
   * The common condition of all keys.
   *
   * @param of - the condition of each key, when keys differ
   */
  conditionChanged(condition: FeedCondition, of?: (key: string) => FeedCondition): void;
  /** Requests an observation of one key soon, of another key each time. */
  pollNext(): PollResult;
  /**
   * Requests an observation of all keys, and below a prefix a scan for unknown keys.
   *
   * @param which - `open`: only of the keys that handles watch
   */
  pollAll(which?: 'open'): PollResult;
}

/** A subscription to hints, until it is closed. There may be very many, one for each store. */
export interface Subscription {
  /** Reads one of the keys over the link that its hints arrive on, and sends at once. Rejects when there is no link. */
  read(key: string, maxBytes: number): Promise<Observation>;
  /**
   * Reads many of the keys in one batch, where the backend can. An observation for each, in the order of the keys; `undefined` for a key that
   * must be read alone (too large for a common reply, or the common reply was refused).
   */
  readMany?(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]>;
  /** The monotonic instant up to which all hints are known to have arrived: those about one key, or about all keys. */
  confirmedAt(key?: string): number;
  /** Reports a step of this machine's clocks, which starts a new generation. */
  reportClockStep(): void;
  /** Reports that a reading found a change of a key without any hint, where the backend can lose hints: others may be missing too. */
  reportMissedHint?(key: string): void;
  /** Ends the subscription: the subscriber is not called any more. Another call does nothing. */
  close(): void;
}

/** The content that a conditional write requires: bytes with this digest, or none. */
export type Expected = { readonly digest: string } | 'absent' | undefined;

/** The number of replicas that shall have a write, and the time to wait for them. */
export interface ReplicasWanted {
  readonly replicas: number;
  readonly timeoutMs: number;
  /** Each of these signals ends the wait. */
  readonly signals: readonly AbortSignal[];
}

/** The number of replicas that are known to have a write, and the error that kept Redis from giving it. */
export interface ReplicaAck {
  readonly replicas: number;
  readonly replicasError: RefusedError | UnavailableError | undefined;
}

export interface Written {
  readonly announced: boolean;
  /** Set if replicas were wanted. Settles after the write itself, so that later writes need not wait. Never rejects. */
  readonly replicated?: Promise<ReplicaAck>;
}

export interface WriteRequest {
  readonly key: string;
  readonly bytes: Buffer;
  readonly ttl: Ttl;
  readonly expected: Expected;
  /** A reading has shown a string larger than `maxBytes` at the key: it is not fetched, and its type needs no check. */
  readonly overLarge: boolean;
  readonly reason: string | undefined;
  readonly wanted: ReplicasWanted | undefined;
}

export interface RemoveRequest {
  readonly key: string;
  readonly expected: Exclude<Expected, 'absent'>;
  readonly reason: string | undefined;
}

/** The place where credentials are kept, for any number of stores. Every promise settles within the backend's own deadlines. */
export interface Backend extends AttemptBackend {
  /** The options that stores on this backend share. */
  readonly sharing: OptionSharing;
  /** The beginning of the backend's own keys: no key of a credential begins so. */
  readonly ownPrefix: string;
  /** The longest time that a reply may take, in milliseconds. */
  readonly replyTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** Reports hints and conditions from now on, first in a later turn. */
  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription;
  /** Reads a key, subscribed to or not; starts no subscription. */
  read(key: string, maxBytes: number): Promise<Observation>;
  /**
   * The keys that begin with `prefix` and may hold bytes; the next page is fetched on request. Every key that is stored all the while is given,
   * perhaps more than once; a key that comes or goes meanwhile may be.
   *
   * @throws UnavailableError, RefusedError, ClosedError
   */
  keys(prefix: string): AsyncIterable<readonly string[]>;
  /**
   * Stores bytes.
   *
   * @throws ConflictError, RefusedError, UnavailableError (nothing was written), OutcomeUnknownError
   */
  write(request: WriteRequest): Promise<Written>;
  /**
   * Removes a key.
   *
   * @throws ConflictError, RefusedError, UnavailableError (nothing was removed), OutcomeUnknownError
   */
  remove(
    request: RemoveRequest,
  ): Promise<{ readonly removed: boolean; readonly announced: boolean }>;
  /**
   * Ends the clear of a key that is stored again, in one step with the check that it is: a clear that comes later stays one. Keeps off the
   * link of the hints. Never rejects: without a reply, or without the permission, the clear lasts.
   *
   * @param storedAt - the server's time of a reading that found the key stored: an earlier clear ends also if the key is gone by now.
   *   A time to come is that of another clock, and counts for nothing
   */
  endClear(key: string, storedAt?: number): Promise<void>;
  /** Releases the backend for one store; the last release frees all resources. Never rejects, and settles within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
