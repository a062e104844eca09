import type {
  AttemptHint,
  Backend,
  Hint,
  FeedCondition,
  Observation,
  PollResult,
  Subscriber,
  Subscription,
} from '../backend/backend.js';
import { absent, unknown } from '../credential/state.js';
import type { Clock } from '../time/clock.js';
import { Entry } from './entry/entry.js';
import type {
  EntryFollower,
  EntryHandles,
  EntryOwner,
  EntryScope,
  FollowedEntry,
} from './entry/owner.js';
import { EntryRotation } from './entry-rotation.js';
import { OpenEntries } from './open-entries.js';
import type { ReadBatcher } from './read-batcher.js';

/** The receiver of the changes of all keys under a prefix. */
export interface PrefixFollower<T> extends EntryFollower<T> {
  /** Whether all keys were known once, so that a key without an entry was absent. */
  readonly isComplete: boolean;
  /** Whether all keys have been read since the last gap. */
  readonly isCaughtUp: boolean;
  conditionChanged(condition: FeedCondition): void;
  /** Returns the entry for a key that got a hint and has none, if the key is to have one. */
  enter(key: string): Entry<T> | undefined;
  added(entry: FollowedEntry): void;
  removed(entry: FollowedEntry): void;
  pollAll(): void;
}

/** The parts that all entries and stores of a directory share. */
export interface PrefixScope<T> extends EntryScope<T> {
  /** The backend as the stores of the directory see it. */
  readonly backend: Backend;
}

/**
 * A subscription to all keys that begin with a prefix. An entry exists while handles watch it, and, while all keys are followed, as long as
 * its key is stored or a reading is under way.
 */
export class PrefixWatch<T> implements EntryOwner<T>, Subscriber {
  readonly prefix: string;
  readonly scope: PrefixScope<T>;
  readonly #reads: ReadBatcher;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #open: OpenEntries<T>;
  #follower: PrefixFollower<T> | undefined;
  #subscription: Subscription | undefined;
  #condition: FeedCondition | undefined;
  /** The condition of each key, when keys differ. */
  #conditionAt: ((key: string) => FeedCondition) | undefined;
  readonly #rotation = new EntryRotation(() => this.#entries.values());

  /** @param clock - the clock of the machine */
  constructor(prefix: string, scope: PrefixScope<T>, clock: Clock, reads: ReadBatcher) {
    this.prefix = prefix;
    this.scope = scope;
    this.#reads = reads;
    this.#open = new OpenEntries(clock, reads);
  }

  get follower(): PrefixFollower<T> | undefined {
    return this.#follower;
  }

  get subscription(): Subscription | undefined {
    return this.#subscription;
  }

  get size(): number {
    return this.#entries.size;
  }

  get maxStalenessMs(): number {
    return this.scope.options.maxStalenessMs;
  }

  /** All entries, from the first; entries may be added meanwhile. */
  get keys(): Iterable<string> {
    return this.#entries.keys();
  }

  idOf(key: string): string {
    return key.slice(this.prefix.length);
  }

  conditionAt(key: string): FeedCondition | undefined {
    return this.#conditionAt?.(key) ?? this.#condition;
  }

  read(key: string): Promise<Observation> {
    return this.#reads.read(key);
  }

  get(key: string): Entry<T> | undefined {
    return this.#entries.get(key);
  }

  /** Creates the entry of a key that has none. */
  add(key: string): Entry<T> {
    const { isComplete = false, isCaughtUp = false } = this.#follower ?? {};
    // During a resync, a missed change looks like a change of now.
    const generation = isCaughtUp ? (this.conditionAt(key)?.generation ?? 0) : 0;
    const entry = new Entry<T>(key, this, isComplete ? absent : unknown, generation);
    this.#entries.set(key, entry);
    this.#follower?.added(entry);
    return entry;
  }

  remove(one: FollowedEntry): void {
    const entry = this.#entries.get(one.key);
    if (entry === undefined || entry !== one) return;
    this.#entries.delete(one.key);
    entry.stop();
    this.#follower?.removed(entry);
  }

  /** Watches a key for handles, until {@link PrefixWatch.leave}. The handles get the condition of its hints in a later turn. */
  open(key: string, handles: EntryHandles<T>): Entry<T> {
    const entry = this.#entries.get(key) ?? this.add(key);
    entry.open(handles);
    this.#subscribe();
    this.#open.add(entry);
    return entry;
  }

  leave(entry: Entry<T>): void {
    this.#open.delete(entry);
    entry.release();
    if (this.#follower === undefined) this.remove(entry);
    else if (entry.isIdle) this.#follower.idle(entry);
    this.#unsubscribe();
  }

  /** Follows all keys under the prefix; `undefined` ends that. */
  follow(follower: PrefixFollower<T> | undefined): void {
    this.#follower = follower;
    this.#rotation.restart();
    if (follower === undefined) {
      for (const entry of this.#entries.values()) if (!entry.isOpen) this.remove(entry);
      this.#unsubscribe();
      return;
    }
    this.#subscribe();
    const condition = this.#condition;
    if (condition === undefined) return;
    this.#open.clock.nextTurn(() => {
      if (this.#follower === follower && this.#condition === condition)
        follower.conditionChanged(condition);
    });
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    // A short prefix is also a beginning of the library's own keys.
    if (key.startsWith(this.scope.backend.ownPrefix)) return;
    let entry = this.#entries.get(key);
    if (entry?.isOpen === true) {
      entry.reportCondition();
      // A handle that learns the condition may close, and with it the entry.
      entry = this.#entries.get(key);
    }
    if (entry === undefined && hint.type !== 'attempt' && this.conditionAt(key)?.link === 'live')
      entry = this.#follower?.enter(key);
    entry?.hint(hint);
  }

  conditionChanged(condition: FeedCondition, of?: (key: string) => FeedCondition): void {
    this.#condition = condition;
    this.#conditionAt = of;
    this.#follower?.conditionChanged(condition);
    this.#open.conditionChanged(of === undefined ? condition.link === 'live' : undefined);
  }

  pollNext(): PollResult {
    for (let left = this.size; left > 0; left -= 1) {
      const entry = this.#rotation.next();
      if (entry === undefined) return 'none';
      if (entry.poll()) return 'requested';
    }
    return 'none';
  }

  pollAll(which?: 'open'): PollResult {
    if (which === undefined) this.#follower?.pollAll();
    this.#open.poll();
    return this.#open.size > 0 || this.#follower !== undefined ? 'requested' : 'none';
  }

  #subscribe(): void {
    this.#subscription ??= this.scope.backend.subscribe({ prefix: this.prefix }, this);
  }

  #unsubscribe(): void {
    if (this.#open.size > 0 || this.#follower !== undefined) return;
    this.#subscription?.close();
    this.#subscription = undefined;
    this.#condition = undefined;
    this.#conditionAt = undefined;
    this.#rotation.restart();
  }
}
