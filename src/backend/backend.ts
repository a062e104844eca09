import type { AttemptBackend } from './attempts.js';
import type { Content } from '../credential/content.js';
import type { ChangeOrigin } from '../credential/change.js';
import type { Clock } from '../time/clock.js';
import type { RefusedError, UnavailableError } from '../errors.js';
import type { Ttl } from './ttl.js';
import type { OptionSharing } from '../util/option-sharing.js';
import type { LinkStatus, NotificationMode, StoreStatus } from '../credential/status.js';
import type { ServerTime } from '../time/server-time.js';

/*
 * The seam between the store and the place where credentials are kept. It speaks of keys, bytes, ends, hints and
 * observations. Deliberately not in it: what a credential means, when one has expired, which change follows from an observation,
 * staleness. Those are decided once, above the seam, for every backend.
 */

/** One atomic look at a key. */
export interface Observation {
  readonly content: Content;
  /** When the server drops the key, in epoch milliseconds of its clock; `undefined` for a key without TTL. */
  readonly expiresAt: number | undefined;
  /** How exactly `expiresAt` could be told: two looks at one unchanged end differ by no more. */
  readonly toleranceMs: number;
  /** The server's clock at the look, in epoch milliseconds with fractions. */
  readonly serverNow: number;
  /** The clock that `expiresAt` and `serverNow` belong to; has taken in this very sample. */
  readonly time: ServerTime;
}

/** Something may have happened at a key. Says at most how to label what an observation then finds. */
export type Hint =
  | { readonly type: 'written'; readonly origin: ChangeOrigin; readonly reason: string | undefined }
  | {
      readonly type: 'removed';
      readonly as: 'expired' | 'cleared' | 'evicted';
      readonly origin: ChangeOrigin;
      readonly reason: string | undefined;
    };

/** A re-authentication may have ended; says nothing about the key. */
export interface AttemptHint {
  readonly type: 'attempt';
}

/** The condition of the feed of one key. A value; replaced as a whole. */
export interface FeedCondition {
  readonly link: Exclude<LinkStatus, 'idle'>;
  /** Changes whenever hints may have been missed: everything known must be observed anew. */
  readonly generation: number;
  /** Why the generation began: a new link, data that vanished as a whole, or this machine's clocks coming apart. */
  readonly gap: 'link' | 'data' | 'clock';
  readonly notifications: NotificationMode;
  /** Whether this process may announce its writes. */
  readonly announcing: boolean;
  /** Within how many milliseconds a change is seen while the link is live, whatever is lost. */
  readonly maxLagMs: number;
  /** Why the link is not live. */
  readonly error: Error | undefined;
  /** The status of a store that is up to date with this feed; one object for all of them. */
  readonly fresh: StoreStatus;
  /** That of one that holds nothing yet, likewise. */
  readonly unseen: StoreStatus;
}

export function createFeedCondition(
  condition: Omit<FeedCondition, 'fresh' | 'unseen'>,
): FeedCondition {
  const { link, notifications, announcing, maxLagMs, error } = condition;
  const fresh: StoreStatus = {
    link,
    freshness: 'fresh',
    staleSince: undefined,
    notifications,
    announcing,
    maxLagMs: link === 'live' ? maxLagMs : undefined,
    error,
  };
  const unseen: StoreStatus = {
    ...fresh,
    link: link === 'live' ? 'connecting' : link,
    freshness: 'unknown',
    maxLagMs: undefined,
  };
  return { ...condition, fresh, unseen };
}

/** The watching side of one key. Must not throw. */
export interface KeyWatcher {
  hint(hint: Hint | AttemptHint): void;
  conditionChanged(conditionChanged: FeedCondition): void;
  /** Asks for an observation soon. `false`: one cannot be issued now (busy). */
  poll(): boolean;
}

/** The watching side of all keys that begin with a prefix. Must not throw. */
export interface PrefixWatcher {
  /** How many keys it looks at in turn: they share the heartbeat. */
  readonly size: number;
  /** Also for keys that it never heard of. */
  hint(key: string, hint: Hint | AttemptHint): void;
  /**
   * The condition that its keys are in, taken together.
   *
   * @param at - that of each key, where they may be in several
   */
  conditionChanged(conditionChanged: FeedCondition, at?: (key: string) => FeedCondition): void;
  /**
   * Asks for an observation of one key soon, another one each time. `false`: none can be issued now · `elsewhere`: perhaps over another link
   * than that of the feed which asks.
   */
  poll(): boolean | 'elsewhere';
  /** Asks for an observation of all keys, and of those that nobody told it of. `false`: there are none. */
  pollAll(): boolean;
}

/** Where hints come from. No object for each watch, because there may be very many. */
export interface HintFeed {
  /** Reports the feed of a key from now on, first in a later turn. */
  watch(key: string, watcher: KeyWatcher): void;
  unwatch(key: string, watcher: KeyWatcher): void;
  /** Reports the feed of all keys that begin with `prefix` from now on, first in a later turn, by one subscription. */
  watchPrefix(prefix: string, watcher: PrefixWatcher): void;
  unwatchPrefix(prefix: string, watcher: PrefixWatcher): void;
  /** Looks at a watched key over the link whose hints are being received. Rejects when there is none. */
  read(key: string, maxBytes: number): Promise<Observation>;
  /**
   * Looks at many watched keys in one go, where the backend can. An observation for each, in the order of the keys; `undefined` for one that must
   * be looked at alone (it was too large for a common answer, or a common answer was refused).
   */
  readMany?(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]>;
  /** The monotonic instant up to which all hints about a key are known to have arrived. */
  confirmedAt(key: string): number;
  /** Tells that this machine's clocks came apart; starts a new generation. */
  reportClockStep(): void;
}

/** What must be stored for a conditional write to happen: bytes with this digest, or nothing. */
export type Expected = { readonly digest: string } | 'absent' | undefined;

/** How many replicas shall have a write, and for how long to wait for them. */
export interface ReplicasWanted {
  readonly replicas: number;
  readonly timeoutMs: number;
  /** Each gives the waiting up. */
  readonly signals: readonly AbortSignal[];
}

/** How many replicas are known to have a write, and why no more is known. */
export interface ReplicaAck {
  readonly replicas: number;
  readonly replicasError: RefusedError | UnavailableError | undefined;
}

export interface Written {
  readonly announced: boolean;
  /** If replicas were wanted. Apart from the write's own answer, so that later writes need not wait for it. Never rejects. */
  readonly replicated?: Promise<ReplicaAck>;
}

export interface WriteRequest {
  readonly key: string;
  readonly bytes: Buffer;
  readonly ttl: Ttl;
  readonly expected: Expected;
  /** What is stored was seen to be a string larger than `maxBytes`: not to be fetched, and surely no other type. */
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
  /** What the stores on this backend share of their options. */
  readonly sharing: OptionSharing;
  /** The label of this instance for people. */
  readonly name: string;
  /** How long an answer may take at most, in milliseconds. */
  readonly replyTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly hints: HintFeed;
  /** Looks at a key that need not be watched; starts no watch. */
  read(key: string, maxBytes: number): Promise<Observation>;
  /**
   * The keys that begin with `prefix` and may hold bytes, page by page, at the reader's pace. Gives every key that is there all the while, perhaps
   * more than once; of those that come or go meanwhile some.
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
  /** One store needs it no longer: the last to say so lets go of all resources. Never rejects, and settles within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
