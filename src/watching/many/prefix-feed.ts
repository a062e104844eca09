import type {
  AttemptHint,
  Hint,
  HintFeed,
  FeedCondition,
  KeyWatcher,
  Observation,
  PrefixWatcher,
} from '../../backend/backend.js';
import type { Clock } from '../../time/clock.js';
import { RESERVED_PREFIX } from '../../util/option-checks.js';
import type { ReadBatcher } from './read-batcher.js';
import { TimeSlicer } from './yielding.js';

/** Who tracks the credentials under a prefix that nobody watches. */
export interface Tracker {
  readonly size: number;
  readonly keys: Iterable<string>;
  hint(key: string, hint: Hint | AttemptHint): void;
  feed(feed: FeedCondition): void;
  look(key: string): void;
  lookAtAll(): void;
  /** A credential is watched from now on. */
  opened(key: string): void;
  /** It is not any longer; what is known of it can still be asked for. */
  left(key: string): void;
}

interface Opened {
  readonly watcher: KeyWatcher;
  /** The condition that it was told last. */
  told: FeedCondition | undefined;
}

/** The one subscription of a directory, as a feed for each of its credentials. */
export class PrefixFeed implements HintFeed, PrefixWatcher {
  readonly #prefix: string;
  readonly #hints: HintFeed;
  readonly #clock: Clock;
  readonly #reads: ReadBatcher;
  readonly #pace: TimeSlicer;
  /** There is one watch of a credential, for all stores. */
  readonly #opened = new Map<string, Opened>();
  /** Keys whose watch has just begun. */
  #newcomers: string[] = [];
  #tracker: Tracker | undefined;
  #on = false;
  #condition: FeedCondition | undefined;
  /** That of one key, where it may be another. */
  #conditionAt: ((key: string) => FeedCondition) | undefined;
  #rotation: Iterator<string> | undefined;
  #polling = false;

  /** @param clock - that of the machine */
  constructor(prefix: string, hints: HintFeed, clock: Clock, looks: ReadBatcher) {
    this.#prefix = prefix;
    this.#hints = hints;
    this.#clock = clock;
    this.#reads = looks;
    this.#pace = new TimeSlicer(clock, looks);
  }

  get size(): number {
    return Math.max(this.#opened.size, this.#tracker?.size ?? 0);
  }

  get condition(): FeedCondition | undefined {
    return this.#condition;
  }

  get watched(): Iterable<string> {
    return this.#opened.keys();
  }

  /** Whether hints about this key arrive, and observations of it can be made. */
  isLinkedAt(key: string): boolean {
    return (this.#conditionAt?.(key) ?? this.#condition)?.link === 'live';
  }

  isWatched(key: string): boolean {
    return this.#opened.has(key);
  }

  /** Has everything under the prefix tracked; `undefined`: not any longer. */
  track(tracker: Tracker | undefined): void {
    this.#tracker = tracker;
    this.#rotation = undefined;
    if (tracker === undefined) {
      this.#rest();
      return;
    }
    for (const key of this.#opened.keys()) tracker.opened(key);
    this.#begin();
    const condition = this.#condition;
    if (condition === undefined) return;
    this.#clock.nextTurn(() => {
      if (this.#tracker === tracker && this.#condition === condition) tracker.feed(condition);
    });
  }

  watch(key: string, watcher: KeyWatcher): void {
    const opened: Opened = { watcher, told: undefined };
    this.#opened.set(key, opened);
    this.#tracker?.opened(key);
    this.#begin();
    this.#newcomers.push(key);
    if (this.#newcomers.length > 1) return;
    this.#clock.nextTurn(() => {
      void this.#tellNewcomers();
    });
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    if (this.#opened.get(key)?.watcher !== watcher) return;
    this.#opened.delete(key);
    this.#tracker?.left(key);
    this.#rest();
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher): void {
    this.#hints.watchPrefix(prefix, watcher);
  }

  unwatchPrefix(prefix: string, watcher: PrefixWatcher): void {
    this.#hints.unwatchPrefix(prefix, watcher);
  }

  read(key: string): Promise<Observation> {
    return this.#reads.read(key).catch((error: unknown) => {
      // It has to hear of a lost link before it hears of what was lost with it.
      const opened = this.#opened.get(key);
      if (opened !== undefined) this.#tell(key, opened);
      throw error;
    });
  }

  confirmedAt(key: string): number {
    return this.#hints.confirmedAt(key);
  }

  reportClockStep(): void {
    this.#hints.reportClockStep();
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    // Our own keys lie under a prefix that is a beginning of theirs.
    if (key.startsWith(RESERVED_PREFIX)) return;
    const opened = this.#opened.get(key);
    if (opened === undefined) {
      this.#tracker?.hint(key, hint);
      return;
    }
    this.#tell(key, opened);
    opened.watcher.hint(hint);
  }

  conditionChanged(feed: FeedCondition, at?: (key: string) => FeedCondition): void {
    this.#condition = feed;
    this.#conditionAt = at;
    this.#tracker?.feed(feed);
    void this.#tellAll(feed);
  }

  poll(): boolean {
    for (let left = this.size; left > 0; left -= 1) {
      const key = this.#next();
      if (key === undefined) return false;
      const opened = this.#opened.get(key);
      if (opened === undefined) {
        this.#tracker?.look(key);
        return true;
      }
      if (opened.watcher.poll()) return true;
    }
    return false;
  }

  pollAll(): boolean {
    this.#tracker?.lookAtAll();
    if (!this.#polling && this.#opened.size > 0) {
      this.#polling = true;
      void this.#pollWatched();
    }
    return this.#opened.size > 0 || this.#tracker !== undefined;
  }

  #begin(): void {
    if (this.#on) return;
    this.#on = true;
    this.#hints.watchPrefix(this.#prefix, this);
  }

  #rest(): void {
    if (!this.#on || this.#opened.size > 0 || this.#tracker !== undefined) return;
    this.#on = false;
    this.#condition = undefined;
    this.#conditionAt = undefined;
    this.#rotation = undefined;
    this.#hints.unwatchPrefix(this.#prefix, this);
  }

  #tell(key: string, opened: Opened): void {
    const condition = this.#conditionAt?.(key) ?? this.#condition;
    if (condition === undefined || opened.told === condition) return;
    opened.told = condition;
    opened.watcher.conditionChanged(condition);
  }

  async #tellNewcomers(): Promise<void> {
    const newcomers = this.#newcomers;
    this.#newcomers = [];
    for (const key of newcomers) {
      const opened = this.#opened.get(key);
      if (opened === undefined) continue;
      this.#tell(key, opened);
      const rest = this.#pace.yield();
      if (rest !== undefined) await rest;
    }
  }

  async #tellAll(condition: FeedCondition): Promise<void> {
    for (const [key, opened] of this.#opened) {
      if (this.#condition !== condition) return;
      this.#tell(key, opened);
      const rest = this.#pace.yield();
      if (rest !== undefined) await rest;
    }
  }

  async #pollWatched(): Promise<void> {
    const condition = this.#condition;
    for (const { watcher } of this.#opened.values()) {
      if (this.#condition !== condition) break;
      watcher.poll();
      const rest = this.#pace.yield();
      if (rest !== undefined) await rest;
    }
    this.#polling = false;
  }

  #next(): string | undefined {
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = (this.#tracker?.keys ?? this.watched)[Symbol.iterator]();
      next = this.#rotation.next();
    }
    return next.done ? undefined : next.value;
  }
}
