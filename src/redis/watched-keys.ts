import type { AttemptHint, Hint, KeyFeed, KeyWatcher } from '../credential-backend.js';

/** A key that is watched, by however many watchers, and how Redis lets us hear of it on the present link. */
export interface WatchedKey {
  readonly key: string;
  /** Replaced as a whole, so that whoever goes through it is not disturbed; mostly of one. */
  watchers: readonly KeyWatcher[];
  /** What the present link is subscribed to; `undefined` while it is not (yet). */
  heard: Hearing | undefined;
}

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
    const before = this.#keys.get(key);
    if (before !== undefined) {
      before.watchers = [...before.watchers, watcher];
      return before;
    }
    // A list that grows from nothing has room for sixteen more.
    const watched: WatchedKey = { key, watchers: [watcher], heard: undefined };
    this.#keys.set(key, watched);
    return watched;
  }

  /** Says whether nobody watches the key any longer. */
  remove(watched: WatchedKey, watcher: KeyWatcher): boolean {
    watched.watchers = watched.watchers.filter((one) => one !== watcher);
    if (watched.watchers.length > 0 || this.#keys.get(watched.key) !== watched) return false;
    return this.#keys.delete(watched.key);
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
