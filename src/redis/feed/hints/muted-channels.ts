/** The two channels of a key: messages of Redis, and those of other instances. */
export type ChannelKind = 'keyspace' | 'announcements';

/** The channels of watched keys that are not subscribed to for a while because a client floods them. They survive the connection. */
export class MutedChannels<Watched extends object> {
  readonly #kinds = new Map<Watched, ReadonlySet<ChannelKind>>();

  get isEmpty(): boolean {
    return this.#kinds.size === 0;
  }

  get keys(): Iterable<Watched> {
    return this.#kinds.keys();
  }

  has(watched: Watched, kind: ChannelKind): boolean {
    return this.#kinds.get(watched)?.has(kind) === true;
  }

  add(watched: Watched, kind: ChannelKind): void {
    this.#kinds.set(watched, new Set([...(this.#kinds.get(watched) ?? []), kind]));
  }

  delete(watched: Watched): void {
    this.#kinds.delete(watched);
  }

  /** Forgets all, and returns the keys and prefixes. */
  clear(): Watched[] {
    const all = [...this.#kinds.keys()];
    this.#kinds.clear();
    return all;
  }
}
