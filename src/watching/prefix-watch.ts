import type {
  AttemptHint,
  Backend,
  Hint,
  HintFeed,
  FeedCondition,
  Observation,
  PrefixWatcher,
} from '../backend/backend.js';
import { absent, unknown } from '../credential/state.js';
import type { Clock } from '../time/clock.js';
import type { Encoding } from '../credential/encoding.js';
import { Entry, type EntryFollower, type EntryOwner } from './entry.js';
import type { OpenEntry, Watch } from './open-entry.js';
import type { SharedStoreOptions } from './entry-options.js';
import { RESERVED_PREFIX } from '../util/option-checks.js';
import type { ReadBatcher } from './read-batcher.js';
import { TimeSlicer } from '../time/time-slicing.js';

/** Follows all keys under a prefix. */
export interface PrefixFollower<T> extends EntryFollower<T> {
  /** Whether everything was known once, so that a key without an entry is one where nothing was stored. */
  readonly isComplete: boolean;
  /** Whether everything has been read since hints may have been missed. */
  readonly isCaughtUp: boolean;
  conditionChanged(condition: FeedCondition): void;
  /** A hint came for a key without an entry: the entry that it gets, if it is worth one. */
  newcomer(key: string): Entry<T> | undefined;
  added(entry: Entry<T>): void;
  /** Handles have come to an entry, or gone. */
  opened(entry: Entry<T>): void;
  removed(entry: Entry<T>): void;
  pollAll(): void;
}

export interface PrefixWatchContext<T> {
  readonly prefix: string;
  /** As the stores of the directory see it. */
  readonly backend: Backend;
  /** That of the machine. */
  readonly clock: Clock;
  readonly options: SharedStoreOptions<T>;
  readonly encoding: Encoding<T>;
  readonly reads: ReadBatcher;
}

/**
 * A subscription to all keys that begin with a prefix. An entry is there while handles watch it, and while all keys are followed, as long as
 * something is stored or under way.
 */
export class PrefixWatch<T> implements Watch<T>, EntryOwner<T>, PrefixWatcher {
  readonly #context: PrefixWatchContext<T>;
  readonly #hints: HintFeed;
  readonly #slicer: TimeSlicer;
  readonly #entries = new Map<string, Entry<T>>();
  /** Those that handles watch. */
  readonly #open = new Set<Entry<T>>();
  /** Those of them that handles have come to just now. */
  #newcomers: Entry<T>[] = [];
  #follower: PrefixFollower<T> | undefined;
  #isSubscribed = false;
  #condition: FeedCondition | undefined;
  /** That of one key, where it may be another. */
  #conditionAt: ((key: string) => FeedCondition) | undefined;
  #rotation: Iterator<Entry<T>> | undefined;
  #isPolling = false;

  constructor(context: PrefixWatchContext<T>) {
    this.#context = context;
    this.#hints = context.backend.hints;
    this.#slicer = new TimeSlicer(context.clock, context.reads);
  }

  get backend(): Backend {
    return this.#context.backend;
  }

  get clock(): Clock {
    return this.#context.backend.clock;
  }

  get encoding(): Encoding<T> {
    return this.#context.encoding;
  }

  get options(): SharedStoreOptions<T> {
    return this.#context.options;
  }

  get follower(): PrefixFollower<T> | undefined {
    return this.#follower;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** From the first; others may come meanwhile. */
  get keys(): Iterable<string> {
    return this.#entries.keys();
  }

  keyOf(id: string): string {
    return this.#context.prefix + id;
  }

  idOf(key: string): string {
    return key.slice(this.#context.prefix.length);
  }

  conditionAt(key: string): FeedCondition | undefined {
    return this.#conditionAt?.(key) ?? this.#condition;
  }

  confirmedAt(key: string): number {
    return this.#hints.confirmedAt(key);
  }

  reportClockStep(): void {
    this.#hints.reportClockStep();
  }

  read(key: string): Promise<Observation> {
    return this.#context.reads.read(key);
  }

  get(key: string): Entry<T> | undefined {
    return this.#entries.get(key);
  }

  /** Makes the entry of a key that has none. */
  add(key: string): Entry<T> {
    const { isComplete = false, isCaughtUp = false } = this.#follower ?? {};
    // While catching up, nobody can tell what was missed from what happens now.
    const generation = isCaughtUp ? (this.conditionAt(key)?.generation ?? 0) : 0;
    const entry = new Entry<T>(key, this, isComplete ? absent : unknown, generation);
    this.#entries.set(key, entry);
    this.#follower?.added(entry);
    return entry;
  }

  remove(entry: Entry<T>): void {
    if (this.#entries.get(entry.key) !== entry) return;
    this.#entries.delete(entry.key);
    entry.stop();
    this.#follower?.removed(entry);
  }

  open(handles: OpenEntry<T>): Entry<T> {
    const { key } = handles;
    const entry = this.#entries.get(key) ?? this.add(key);
    entry.open(handles);
    this.#open.add(entry);
    this.#follower?.opened(entry);
    return entry;
  }

  begin(entry: Entry<T>): void {
    this.#subscribe();
    this.#newcomers.push(entry);
    if (this.#newcomers.length > 1) return;
    this.#context.clock.nextTurn(() => {
      const newcomers = this.#newcomers;
      this.#newcomers = [];
      void this.#tell(newcomers);
    });
  }

  leave(entry: Entry<T>): void {
    this.#open.delete(entry);
    entry.release();
    this.#follower?.opened(entry);
    if (this.#follower === undefined) this.remove(entry);
    else if (entry.isIdle) this.#follower.idle(entry);
    this.#unsubscribe();
  }

  /** Has all keys under the prefix followed; `undefined`: not any longer. */
  follow(follower: PrefixFollower<T> | undefined): void {
    this.#follower = follower;
    this.#rotation = undefined;
    if (follower === undefined) {
      for (const entry of this.#entries.values()) if (!entry.isOpen) this.remove(entry);
      this.#unsubscribe();
      return;
    }
    this.#subscribe();
    const condition = this.#condition;
    if (condition === undefined) return;
    this.#context.clock.nextTurn(() => {
      if (this.#follower === follower && this.#condition === condition)
        follower.conditionChanged(condition);
    });
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    // Our own keys lie under a prefix that is a beginning of theirs.
    if (key.startsWith(RESERVED_PREFIX)) return;
    let entry = this.#entries.get(key);
    if (entry === undefined && hint.type !== 'attempt' && this.conditionAt(key)?.link === 'live')
      entry = this.#follower?.newcomer(key);
    entry?.hint(hint);
  }

  conditionChanged(condition: FeedCondition, at?: (key: string) => FeedCondition): void {
    this.#condition = condition;
    this.#conditionAt = at;
    this.#follower?.conditionChanged(condition);
    void this.#tell(this.#open, condition);
  }

  poll(): boolean {
    for (let left = this.size; left > 0; left -= 1) {
      const entry = this.#next();
      if (entry === undefined) return false;
      if (entry.poll()) return true;
    }
    return false;
  }

  pollAll(): boolean {
    this.#follower?.pollAll();
    if (!this.#isPolling && this.#open.size > 0) {
      this.#isPolling = true;
      void this.#pollOpen();
    }
    return this.#open.size > 0 || this.#follower !== undefined;
  }

  #subscribe(): void {
    if (this.#isSubscribed) return;
    this.#isSubscribed = true;
    this.#hints.watchPrefix(this.#context.prefix, this);
  }

  #unsubscribe(): void {
    if (!this.#isSubscribed || this.#open.size > 0 || this.#follower !== undefined) return;
    this.#isSubscribed = false;
    this.#condition = undefined;
    this.#conditionAt = undefined;
    this.#rotation = undefined;
    this.#hints.unwatchPrefix(this.#context.prefix, this);
  }

  /** @param of - the condition that they hear of; without it, whichever is the present one */
  async #tell(entries: Iterable<Entry<T>>, of?: FeedCondition): Promise<void> {
    for (const entry of entries) {
      if (of !== undefined && this.#condition !== of) return;
      entry.hear();
      const rest = this.#slicer.yield();
      if (rest !== undefined) await rest;
    }
  }

  async #pollOpen(): Promise<void> {
    const condition = this.#condition;
    for (const entry of this.#open) {
      if (this.#condition !== condition) break;
      entry.poll();
      const rest = this.#slicer.yield();
      if (rest !== undefined) await rest;
    }
    this.#isPolling = false;
  }

  #next(): Entry<T> | undefined {
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = this.#entries.values();
      next = this.#rotation.next();
    }
    return next.done ? undefined : next.value;
  }
}
