import type { WatchedKey } from './watched-keys.js';

/** The two channels of a key: messages of Redis, and those of other instances. */
export type ChannelKind = 'keyspace' | 'announcements';

/** The channels that are not subscribed to for a while because a client floods them. They survive the connection. */
export class MutedChannels {
  readonly #kinds = new Map<WatchedKey, ReadonlySet<ChannelKind>>();

  get isEmpty(): boolean {
    return this.#kinds.size === 0;
  }

  get keys(): Iterable<WatchedKey> {
    return this.#kinds.keys();
  }

  has(watched: WatchedKey, kind: ChannelKind): boolean {
    return this.#kinds.get(watched)?.has(kind) === true;
  }

  add(watched: WatchedKey, kind: ChannelKind): void {
    this.#kinds.set(watched, new Set([...(this.#kinds.get(watched) ?? []), kind]));
  }

  delete(watched: WatchedKey): void {
    this.#kinds.delete(watched);
  }

  /** Forgets all, and returns the keys and prefixes. */
  clear(): WatchedKey[] {
    const all = [...this.#kinds.keys()];
    this.#kinds.clear();
    return all;
  }
}
