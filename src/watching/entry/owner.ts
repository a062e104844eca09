import type {
  AttemptHint,
  Backend,
  FeedCondition,
  Observation,
  Subscription,
} from '../../backend/backend.js';
import type { CredentialChange } from '../../credential/change.js';
import type { Encoding } from '../../credential/encoding.js';
import type { Clock } from '../../time/clock.js';
import type { ServerTime } from '../../time/server-time.js';
import type { SharedStoreOptions } from '../entry-options.js';

/** An entry as its follower sees it. */
export interface FollowedEntry {
  readonly key: string;
  /** The round of the follower that waits for a reading of the entry. */
  awaitedIn: object | undefined;
  /** Whether the key is stored, as far as known. */
  readonly isStored: boolean;
  /** Whether handles watch the entry. */
  readonly isOpen: boolean;
  /** Whether the key was read since the last gap. */
  readonly isCaughtUp: boolean;
}

/** The receiver of the changes of all entries, watched by handles or not. */
export interface EntryFollower<T> {
  /** A reading has been applied. */
  observed(entry: FollowedEntry): void;
  /** The key could not be read. */
  refused(entry: FollowedEntry): void;
  /** Called before the handles. */
  changed(change: CredentialChange<T>): void;
  /** No reading is under way any longer. */
  idle(entry: FollowedEntry): void;
}

/** The parts that all entries of a watch share. */
export interface EntryScope<T> {
  readonly clock: Clock;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  readonly backend: Pick<Backend, 'endClear'>;
}

/** The watch that an entry belongs to, as the entry sees it: one subscription, to a key or to a prefix. */
export interface EntryOwner<T> {
  readonly scope: EntryScope<T>;
  readonly follower: EntryFollower<T> | undefined;
  idOf(key: string): string;
  /** The condition of the hints about a key; `undefined` before the first report. */
  conditionAt(key: string): FeedCondition | undefined;
  read(key: string): Promise<Observation>;
  /** The subscription that the hints come by; `undefined` while there is none. */
  readonly subscription: Pick<Subscription, 'reportMissedHint'> | undefined;
}

/** The handles on an entry, as the entry sees them. While there are handles, the entry holds the value. */
export interface EntryHandles<T> {
  /** The number of writes of this process under way. */
  readonly ownWrites: number;
  /** Whether a reading has been applied since the first handle came; before, the handles know no state. */
  readonly isFilled: boolean;
  conditionChanged(condition: FeedCondition): void;
  attempted(hint: AttemptHint): void;
  /** A reading is about to be applied. */
  observing(time: ServerTime): void;
  /**
   * The state may be another one; `change` is a difference from the state that the handles knew.
   *
   * @param readAt - the server's time of the reading; `undefined` for an expiry that was concluded without one
   */
  observed(change: CredentialChange<T> | undefined, readAt: number | undefined): void;
  refused(error: unknown): void;
  /** The state may not be fresh any longer. */
  stalenessChanged(): void;
}
