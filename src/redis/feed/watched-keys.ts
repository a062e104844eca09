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
  conditionChanged(condition: FeedCondition): void;
}

/** A watched key or prefix, its watchers, and its subscriptions on the present link. */
class Watched<W extends Watcher> {
  readonly key: string;
  /** The subscriptions on the present link; `undefined` before there are any. */
  subscribedTo: SubscribedTo | undefined;
  /** Most keys have one watcher: a list for each key would be larger than the rest of it. */
  #first: W | undefined;
  #others: readonly W[] | undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** A snapshot: unaffected by watchers that come and go during an iteration. */
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

  report(condition: FeedCondition): void {
    for (const watcher of this.watchers) watcher.conditionChanged(condition);
  }
}

/** A watched key. */
export class WatchedKey extends Watched<KeyWatcher> {
  poll(): boolean {
    return this.watchers.map((watcher) => watcher.poll()).includes(true);
  }

  pollAll(): boolean {
    return this.poll();
  }
}

/** A watched prefix: all keys below it. */
export class WatchedPrefix extends Watched<PrefixWatcher> {
  /** The prefix in patterns, where every character stands for itself. */
  readonly glob: string;

  constructor(prefix: string) {
    super(prefix);
    this.glob = escapeGlob(prefix);
  }

  /** The number of readings that cover all keys below the prefix. */
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

/** A watched key or prefix. */
export type AnyWatched = WatchedKey | WatchedPrefix;

/** The watched keys and prefixes of a feed, in a rotation for the heartbeat. */
export class WatchedKeys {
  readonly #keys = new Map<string, WatchedKey>();
  /** By the prefix in patterns. */
  readonly #prefixes = new Map<string, WatchedPrefix>();
  #rotation: Iterator<AnyWatched> | undefined;
  /** The present element of the rotation, and its remaining readings. */
  #current: { readonly watched: AnyWatched; left: number } | undefined;

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.#prefixes.size === 0;
  }

  /** The number of readings that cover everything. */
  get size(): number {
    let size = this.#keys.size;
    for (const watched of this.#prefixes.values()) size += watched.size;
    return size;
  }

  /** Whether the key or prefix is still watched. */
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

  /** Returns the key when its last watcher left. */
  remove(key: string, watcher: KeyWatcher): WatchedKey | undefined {
    const watched = this.#keys.get(key);
    if (watched?.has(watcher) !== true) return undefined;
    watched.watchers = watched.watchers.filter((one) => one !== watcher);
    if (watched.watchers.length > 0) return undefined;
    this.#keys.delete(key);
    return watched;
  }

  /** Returns the prefix when its last watcher left. */
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

  /** Reads the next element of the rotation that can be read now; returns whether that proves this link alive. */
  pollNext(): boolean {
    for (let left = this.#keys.size + this.#prefixes.size; left >= 0; left -= 1) {
      const next = this.#next();
      if (next === undefined) return false;
      const polled = next.poll();
      if (polled !== false) return polled === true;
      // No key below the prefix can be read now.
      this.#current = undefined;
    }
    return false;
  }

  /** Reads everything for which `which` holds; returns whether there was anything. */
  pollAll(which: (watched: AnyWatched) => boolean): boolean {
    let any = false;
    for (const watched of this) if (which(watched) && watched.pollAll()) any = true;
    return any;
  }

  report(
    conditionOf: (watched: AnyWatched) => FeedCondition,
    which: Iterable<AnyWatched> = [...this],
  ): void {
    for (const watched of which) watched.report(conditionOf(watched));
  }

  /** A prefix gets as many places in the rotation as it has keys. */
  #next(): AnyWatched | undefined {
    if (this.#current !== undefined && this.#current.left > 0 && this.has(this.#current.watched)) {
      this.#current.left -= 1;
      return this.#current.watched;
    }
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = this[Symbol.iterator]();
      next = this.#rotation.next();
    }
    this.#current = next.done ? undefined : { watched: next.value, left: turnsOf(next.value) - 1 };
    return next.done ? undefined : next.value;
  }
}

function turnsOf(watched: AnyWatched): number {
  return watched instanceof WatchedPrefix ? watched.size : 1;
}
