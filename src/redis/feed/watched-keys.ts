import type {
  AttemptHint,
  FeedCondition,
  Hint,
  Observation,
  PollResult,
  Subscriber,
  Subscription,
  SubscriptionTarget,
} from '../../backend/backend.js';
import { escapeGlob } from '../keys.js';
import { MutedChannels } from './hints/muted-channels.js';

/** The channels of a key, or of all keys with a prefix, that a link is subscribed to. */
export type SubscribedTo = 'both' | 'keyspace' | 'announcements' | 'neither';

/** The feed that a subscription belongs to. */
interface SubscribedFeed {
  read(key: string, maxBytes: number): Promise<Observation>;
  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]>;
  confirmedAt(): number;
  reportClockStep(): void;
  reportMissedHint(watched: WatchedKey): void;
  unsubscribe(subscription: FeedSubscription): void;
}

/** One subscription to the feed of one server. There may be very many. */
export class FeedSubscription implements Subscription {
  readonly subscriber: Subscriber;
  /** The watched key or prefix. */
  readonly watched: WatchedKey;
  readonly #feed: SubscribedFeed;

  constructor(watched: WatchedKey, subscriber: Subscriber, feed: SubscribedFeed) {
    this.subscriber = subscriber;
    this.watched = watched;
    this.#feed = feed;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#feed.read(key, maxBytes);
  }

  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    return this.#feed.readMany(keys, maxBytes);
  }

  confirmedAt(): number {
    return this.#feed.confirmedAt();
  }

  reportClockStep(): void {
    this.#feed.reportClockStep();
  }

  reportMissedHint(): void {
    this.#feed.reportMissedHint(this.watched);
  }

  close(): void {
    this.#feed.unsubscribe(this);
  }
}

/** A watched key, its subscriptions, and the channels that the present link is subscribed to for them. */
export class WatchedKey {
  readonly key: string;
  /** `undefined` before the present link is subscribed to any channel. */
  subscribedTo: SubscribedTo | undefined;
  /** Most keys have one subscription: a list for each key would be larger than the rest of it. */
  #first: FeedSubscription | undefined;
  #others: readonly FeedSubscription[] | undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** A snapshot: unaffected by subscriptions that begin and end during an iteration. */
  get subscriptions(): readonly FeedSubscription[] {
    if (this.#first === undefined) return [];
    return [this.#first, ...(this.#others ?? [])];
  }

  set subscriptions([first, ...others]: readonly FeedSubscription[]) {
    this.#first = first;
    this.#others = others.length > 0 ? others : undefined;
  }

  get isAbandoned(): boolean {
    return this.#first === undefined;
  }

  /** The number of readings that cover all keys. */
  get size(): number {
    return Math.max(1, ...this.subscriptions.map(({ subscriber }) => subscriber.size));
  }

  has(subscription: FeedSubscription): boolean {
    return this.#first === subscription || this.#others?.includes(subscription) === true;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    for (const one of this.subscriptions) if (this.has(one)) one.subscriber.hint(key, hint);
  }

  report(condition: FeedCondition): void {
    for (const one of this.subscriptions)
      if (this.has(one)) one.subscriber.conditionChanged(condition);
  }

  pollNext(): PollResult {
    const results = this.subscriptions.map(({ subscriber }) => subscriber.pollNext());
    if (results.includes('requested')) return 'requested';
    return results.includes('elsewhere') ? 'elsewhere' : 'none';
  }

  pollOpen(): void {
    for (const { subscriber } of this.subscriptions) subscriber.pollAll('open');
  }

  /** Returns whether an observation over this link follows. */
  pollAll(): boolean {
    const results = this.subscriptions.map(({ subscriber }) => subscriber.pollAll());
    return results.includes('requested');
  }
}

/** A watched prefix: all keys that begin with it. */
export class WatchedPrefix extends WatchedKey {
  /** The prefix in patterns, where every character stands for itself. */
  readonly glob: string;

  constructor(prefix: string) {
    super(prefix);
    this.glob = escapeGlob(prefix);
  }
}

/** The watched keys and prefixes of a feed, in a rotation for the heartbeat. */
export class WatchedKeys {
  readonly muted: MutedChannels<WatchedKey> = new MutedChannels<WatchedKey>();
  readonly #keys = new Map<string, WatchedKey>();
  /** By the prefix in patterns. */
  readonly #prefixes = new Map<string, WatchedPrefix>();
  #rotation: Iterator<WatchedKey> | undefined;
  /** The present element of the rotation, and its remaining readings. */
  #current: { readonly watched: WatchedKey; left: number } | undefined;

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.#prefixes.size === 0;
  }

  /** Whether the loss of one key may go unnoticed although another one is read. */
  get areMany(): boolean {
    return this.#keys.size > 1 || this.#prefixes.size > 0;
  }

  /** The number of readings that cover everything. */
  get size(): number {
    let size = this.#keys.size;
    for (const watched of this.#prefixes.values()) size += watched.size;
    return size;
  }

  /** The shortest time for which any of the keys may be served without a proof of the link. */
  get maxStalenessMs(): number {
    let least = Infinity;
    for (const { subscriptions } of this)
      for (const { subscriber } of subscriptions)
        least = Math.min(least, subscriber.maxStalenessMs);
    return least;
  }

  /** Whether the key or prefix is still watched. */
  has(watched: WatchedKey): boolean {
    return watched instanceof WatchedPrefix
      ? this.#prefixes.has(watched.glob)
      : this.#keys.has(watched.key);
  }

  *[Symbol.iterator](): Generator<WatchedKey> {
    yield* this.#keys.values();
    yield* this.#prefixes.values();
  }

  /** The watched key or prefix of a target, a new one where none is watched. */
  at(to: SubscriptionTarget): WatchedKey {
    if ('key' in to) {
      let watched = this.#keys.get(to.key);
      if (watched === undefined) this.#keys.set(to.key, (watched = new WatchedKey(to.key)));
      return watched;
    }
    const glob = escapeGlob(to.prefix);
    let watched = this.#prefixes.get(glob);
    if (watched === undefined) this.#prefixes.set(glob, (watched = new WatchedPrefix(to.prefix)));
    return watched;
  }

  add(subscription: FeedSubscription): void {
    const { watched } = subscription;
    watched.subscriptions = [...watched.subscriptions, subscription];
  }

  /** Returns whether that was the last subscription. */
  remove(subscription: FeedSubscription): boolean {
    const { watched } = subscription;
    if (!watched.has(subscription)) return false;
    watched.subscriptions = watched.subscriptions.filter((one) => one !== subscription);
    if (!watched.isAbandoned) return false;
    this.muted.delete(watched);
    if (watched instanceof WatchedPrefix) this.#prefixes.delete(watched.glob);
    else this.#keys.delete(watched.key);
    return true;
  }

  forgetSubscriptions(): void {
    for (const watched of this) watched.subscribedTo = undefined;
  }

  ofKey(key: string): WatchedKey | undefined {
    return this.#keys.get(key);
  }

  /** @param glob - the prefix, as it stands in patterns */
  ofPrefix(glob: string): WatchedPrefix | undefined {
    return this.#prefixes.get(glob);
  }

  /** Reads the next elements of the rotation that can be read now, `count` at most; returns whether that proves this link alive. */
  pollNext(count: number): boolean {
    let proven = false;
    let polled = 0;
    for (let left = this.#keys.size + this.#prefixes.size + count; left > 0; left -= 1) {
      const next = polled < count ? this.#next() : undefined;
      if (next === undefined) break;
      const result = next.pollNext();
      if (result === 'requested') proven = true;
      if (result !== 'none') polled += 1;
      // No key below the prefix can be read now.
      else this.#current = undefined;
    }
    return proven;
  }

  /** Reads the keys that handles watch. */
  pollOpen(): void {
    for (const watched of this) watched.pollOpen();
  }

  /** Reads everything for which `which` holds; returns whether there was anything. */
  pollAll(which: (watched: WatchedKey) => boolean): boolean {
    let any = false;
    for (const watched of this) if (which(watched) && watched.pollAll()) any = true;
    return any;
  }

  report(
    conditionOf: (watched: WatchedKey) => FeedCondition,
    which: Iterable<WatchedKey> = [...this],
  ): void {
    for (const watched of which) watched.report(conditionOf(watched));
  }

  /** A prefix gets as many places in the rotation as it has keys. */
  #next(): WatchedKey | undefined {
    if (this.#current !== undefined && this.#current.left > 0 && this.has(this.#current.watched)) {
      this.#current.left -= 1;
      return this.#current.watched;
    }
    let next = this.#rotation?.next();
    if (next === undefined || next.done) {
      this.#rotation = this[Symbol.iterator]();
      next = this.#rotation.next();
    }
    this.#current = next.done ? undefined : { watched: next.value, left: next.value.size - 1 };
    return next.done ? undefined : next.value;
  }
}
