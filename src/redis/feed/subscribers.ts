import type {
  AttemptHint,
  Hint,
  FeedCondition,
  KeyWatcher,
  PrefixWatcher,
} from '../../backend/backend.js';
import { escapeGlob } from '../keys.js';

/** The channels of a key, or of all keys with a prefix, that a link is subscribed to. */
export type SubscribedTo = 'both' | 'keyspace' | 'announcements' | 'neither';

interface Watcher {
  conditionChanged(conditionChanged: FeedCondition): void;
}

/** Something that is watched, by however many watchers, and how Redis lets us hear of it on the present link. */
class Watched<W extends Watcher> {
  readonly key: string;
  /** What the present link is subscribed to; `undefined` while it is not (yet). */
  subscribedTo: SubscribedTo | undefined;
  /** Mostly the only one: a list for each key would be larger than all the rest of it. */
  #first: W | undefined;
  #others: readonly W[] | undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** Not disturbed by those who come and go while somebody goes through it. */
  get watchers(): readonly W[] {
    if (this.#first === undefined) return [];
    return [this.#first, ...(this.#others ?? [])];
  }

  set watchers([first, ...others]: readonly W[]) {
    this.#first = first;
    this.#others = others.length > 0 ? others : undefined;
  }

  has(watcher: W): boolean {
    return this.#first === watcher || this.#others?.includes(watcher) === true;
  }

  report(feed: FeedCondition): void {
    for (const watcher of this.watchers) watcher.conditionChanged(feed);
  }
}

/** A key that is watched. */
export class WatchedKey extends Watched<KeyWatcher> {
  poll(): boolean {
    return this.watchers.map((watcher) => watcher.poll()).includes(true);
  }

  pollAll(): boolean {
    return this.poll();
  }
}

/** All keys that begin in the same way, as one thing that is watched. */
export class WatchedPrefix extends Watched<PrefixWatcher> {
  /** The prefix in patterns, where every character stands for itself. */
  readonly glob: string;

  constructor(prefix: string) {
    super(prefix);
    this.glob = escapeGlob(prefix);
  }

  /** How many looks it takes to look at all of it. */
  get size(): number {
    return Math.max(1, ...this.watchers.map(({ size }) => size));
  }

  poll(): boolean | 'elsewhere' {
    const polled = this.watchers.map((watcher) => watcher.poll());
    return polled.includes(true) || (polled.includes('elsewhere') && 'elsewhere');
  }

  pollAll(): boolean {
    return this.watchers.map((watcher) => watcher.pollAll()).includes(true);
  }
}

/** A key, or all keys that begin in the same way. */
export type AnyWatched = WatchedKey | WatchedPrefix;

/** What a feed watches, in a rotation for the heartbeat. */
export class WatchedKeys {
  readonly #keys = new Map<string, WatchedKey>();
  /** By the prefix in patterns. */
  readonly #prefixes = new Map<string, WatchedPrefix>();
  #rotation: Iterator<AnyWatched> | undefined;
  /** Whose turn it is, and for how many looks. */
  #turn: { readonly watched: AnyWatched; left: number } | undefined;

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.#prefixes.size === 0;
  }

  /** How many looks it takes to look at everything. */
  get size(): number {
    let size = this.#keys.size;
    for (const watched of this.#prefixes.values()) size += watched.size;
    return size;
  }

  /** Whether it is still watched. */
  has(watched: AnyWatched): boolean {
    return watched instanceof WatchedPrefix
      ? this.#prefixes.has(watched.glob)
      : this.#keys.has(watched.key);
  }

  *[Symbol.iterator](): Generator<AnyWatched> {
    yield* this.#keys.values();
    yield* this.#prefixes.values();
  }

  add(key: string, watcher: KeyWatcher): WatchedKey {
    let watched = this.#keys.get(key);
    if (watched === undefined) {
      watched = new WatchedKey(key);
      this.#keys.set(key, watched);
    }
    watched.watchers = [...watched.watchers, watcher];
    return watched;
  }

  addPrefix(prefix: string, watcher: PrefixWatcher): WatchedPrefix {
    const glob = escapeGlob(prefix);
    let watched = this.#prefixes.get(glob);
    if (watched === undefined) {
      watched = new WatchedPrefix(prefix);
      this.#prefixes.set(glob, watched);
    }
    watched.watchers = [...watched.watchers, watcher];
    return watched;
  }

  /** Gives the key when that was the last who watched it. */
  remove(key: string, watcher: KeyWatcher): WatchedKey | undefined {
    const watched = this.#keys.get(key);
    if (watched?.has(watcher) !== true) return undefined;
    watched.watchers = watched.watchers.filter((one) => one !== watcher);
    if (watched.watchers.length > 0) return undefined;
    this.#keys.delete(key);
    return watched;
  }

  /** Gives the prefix when that was the last who watched it. */
  removePrefix(prefix: string, watcher: PrefixWatcher): WatchedPrefix | undefined {
    const watched = this.#prefixes.get(escapeGlob(prefix));
    if (watched?.has(watcher) !== true) return undefined;
    watched.watchers = watched.watchers.filter((one) => one !== watcher);
    if (watched.watchers.length > 0) return undefined;
    this.#prefixes.delete(watched.glob);
    return watched;
  }

  forgetSubscriptions(): void {
    for (const watched of this) watched.subscribedTo = undefined;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    const watchers = this.#keys.get(key)?.watchers;
    if (watchers !== undefined) for (const watcher of watchers) watcher.hint(hint);
  }

  /** @param glob - the prefix, as it stood in the pattern that the hint came by */
  hintBelow(glob: string, key: string, hint: Hint | AttemptHint): void {
    const watchers = this.#prefixes.get(glob)?.watchers;
    if (watchers !== undefined) for (const watcher of watchers) watcher.hint(key, hint);
  }

  /** Has the next key in turn that can be observed now observed; says whether that proves this link alive. */
  pollNext(): boolean {
    for (let left = this.#keys.size + this.#prefixes.size; left >= 0; left -= 1) {
      const next = this.#next();
      if (next === undefined) return false;
      const polled = next.poll();
      if (polled !== false) return polled === true;
      // Nothing of it can be observed now.
      this.#turn = undefined;
    }
    return false;
  }

  /** Has everything observed for which `which` holds; says whether there was anything. */
  pollAll(which: (watched: AnyWatched) => boolean): boolean {
    let any = false;
    for (const watched of this) if (which(watched) && watched.pollAll()) any = true;
    return any;
  }

  report(
    feedOf: (watched: AnyWatched) => FeedCondition,
    which: Iterable<AnyWatched> = [...this],
  ): void {
    for (const watched of which) watched.report(feedOf(watched));
  }

  /** Whatever holds many keys has as many turns. */
  #next(): AnyWatched | undefined {
    if (this.#turn !== undefined && this.#turn.left > 0 && this.has(this.#turn.watched)) {
      this.#turn.left -= 1;
      return this.#turn.watched;
    }
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = this[Symbol.iterator]();
      next = this.#rotation.next();
    }
    this.#turn = next.done ? undefined : { watched: next.value, left: turnsOf(next.value) - 1 };
    return next.done ? undefined : next.value;
  }
}

function turnsOf(watched: AnyWatched): number {
  return watched instanceof WatchedPrefix ? watched.size : 1;
}
