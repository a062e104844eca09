import type { AttemptHint, Hint, KeyFeed, KeyWatcher } from '../credential-backend.js';

/** A key that is watched, by however many watchers, and how Redis lets us hear of it on the present link. */
export class WatchedKey {
  readonly key: string;
  /** What the present link is subscribed to; `undefined` while it is not (yet). */
  heard: Hearing | undefined;
  /** Mostly the only one: a list for each key would be larger than all the rest of it. */
  #first: KeyWatcher | undefined;
  #others: readonly KeyWatcher[] | undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** Not disturbed by those who come and go while somebody goes through it. */
  get watchers(): readonly KeyWatcher[] {
    if (this.#first === undefined) return NOBODY;
    return [this.#first, ...(this.#others ?? NOBODY)];
  }

  set watchers([first, ...others]: readonly KeyWatcher[]) {
    this.#first = first;
    this.#others = others.length > 0 ? others : undefined;
  }

  has(watcher: KeyWatcher): boolean {
    return this.#first === watcher || this.#others?.includes(watcher) === true;
  }
}

const NOBODY: readonly KeyWatcher[] = [];

/** The channels of a key that a link is subscribed to. */
export type Hearing = 'both' | 'keyspace' | 'announcements' | 'neither';

/** The keys that a feed watches, in a rotation for the heartbeat. */
export class WatchedKeys {
  readonly #keys = new Map<string, WatchedKey>();
  #rotation: Iterator<WatchedKey> | undefined;

  get size(): number {
    return this.#keys.size;
  }

  get(key: string): WatchedKey | undefined {
    return this.#keys.get(key);
  }

  [Symbol.iterator](): Iterator<WatchedKey> {
    return this.#keys.values();
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

  /** Gives the key when that was the last who watched it. */
  remove(key: string, watcher: KeyWatcher): WatchedKey | undefined {
    const watched = this.#keys.get(key);
    if (watched?.has(watcher) !== true) return undefined;
    watched.watchers = watched.watchers.filter((one) => one !== watcher);
    if (watched.watchers.length > 0) return undefined;
    this.#keys.delete(key);
    return watched;
  }

  forgetSubscriptions(): void {
    for (const watched of this) watched.heard = undefined;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    const watchers = this.#keys.get(key)?.watchers;
    if (watchers !== undefined) for (const watcher of watchers) watcher.hint(hint);
  }

  /** Has the next key in turn that can be observed now observed; says whether there was one. */
  pollNext(): boolean {
    for (let left = this.#keys.size; left > 0; left -= 1) {
      const next = this.#next();
      if (next !== undefined && poll(next)) return true;
    }
    return false;
  }

  /** Has all keys observed for which `which` holds; says whether there was one. */
  pollAll(which: (watched: WatchedKey) => boolean): boolean {
    let any = false;
    for (const watched of this) if (which(watched) && poll(watched)) any = true;
    return any;
  }

  report(feedOf: (watched: WatchedKey) => KeyFeed, which: Iterable<WatchedKey> = [...this]): void {
    for (const watched of which) {
      const feed = feedOf(watched);
      for (const watcher of watched.watchers) watcher.feed(feed);
    }
  }

  #next(): WatchedKey | undefined {
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = this.#keys.values();
      next = this.#rotation.next();
    }
    return next.done ? undefined : next.value;
  }
}

function poll({ watchers }: WatchedKey): boolean {
  let any = false;
  for (const watcher of watchers) if (watcher.poll()) any = true;
  return any;
}
