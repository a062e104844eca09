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
export abstract class FeedSubscription implements Subscription {
  /** `undefined` once the subscription has ended. */
  subscriber: Subscriber | undefined;
  /** The watched key or prefix. */
  abstract readonly watched: WatchedKey;

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.watched.feed.read(key, maxBytes);
  }

  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    return this.watched.feed.readMany(keys, maxBytes);
  }

  confirmedAt(): number {
    return this.watched.feed.confirmedAt();
  }

  reportClockStep(): void {
    this.watched.feed.reportClockStep();
  }

  reportMissedHint(): void {
    this.watched.feed.reportMissedHint(this.watched);
  }

  close(): void {
    this.watched.feed.unsubscribe(this);
  }
}

/** A subscription to a key or prefix that was watched already. */
class FurtherSubscription extends FeedSubscription {
  readonly watched: WatchedKey;

  constructor(subscriber: Subscriber, watched: WatchedKey) {
    super(subscriber);
    this.watched = watched;
  }
}

/**
 * A watched key, its subscriptions, and the channels that the present link is subscribed to for them. The watched key is its own first
 * subscription: most keys have no other one, and an object for each would be as large as the rest.
 */
export class WatchedKey extends FeedSubscription {
  readonly key: string;
  readonly feed: SubscribedFeed;
  /** `undefined` before the present link is subscribed to any channel. */
  subscribedTo: SubscribedTo | undefined;
  #others: readonly FeedSubscription[] | undefined;

  constructor(key: string, subscriber: Subscriber, feed: SubscribedFeed) {
    super(subscriber);
    this.key = key;
    this.feed = feed;
  }

  get watched(): this {
    return this;
  }

  /** The subscribers as of now: a subscription may begin or end while they are called. */
  get subscriptions(): readonly FeedSubscription[] {
    return this.#others === undefined ? [this] : [this, ...this.#others];
  }

  get isAbandoned(): boolean {
    return this.subscriber === undefined && this.#others === undefined;
  }

  /** The number of readings that cover all keys. */
  get size(): number {
    return Math.max(1, ...this.subscriptions.map(({ subscriber }) => subscriber?.size ?? 0));
  }

  add(subscriber: Subscriber): FeedSubscription {
    const added = new FurtherSubscription(subscriber, this);
    this.#others = [...(this.#others ?? []), added];
    return added;
  }

  remove(subscription: FeedSubscription): void {
    subscription.subscriber = undefined;
    const others = this.#others?.filter((one) => one !== subscription) ?? [];
    this.#others = others.length > 0 ? others : undefined;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    for (const one of this.subscriptions) one.subscriber?.hint(key, hint);
  }

  report(condition: FeedCondition): void {
    for (const one of this.subscriptions) one.subscriber?.conditionChanged(condition);
  }

  pollNext(): PollResult {
    const results = this.subscriptions.map(({ subscriber }) => subscriber?.pollNext());
    if (results.includes('requested')) return 'requested';
    return results.includes('elsewhere') ? 'elsewhere' : 'none';
  }

  pollOpen(): void {
    for (const { subscriber } of this.subscriptions) subscriber?.pollAll('open');
  }

  /** Returns whether an observation over this link follows. */
  pollAll(): boolean {
    const results = this.subscriptions.map(({ subscriber }) => subscriber?.pollAll());
    return results.includes('requested');
  }
}

/** A watched prefix: all keys that begin with it. */
export class WatchedPrefix extends WatchedKey {
  /** The prefix in patterns, where every character stands for itself. */
  readonly glob: string;

  constructor(prefix: string, subscriber: Subscriber, feed: SubscribedFeed) {
    super(prefix, subscriber, feed);
    this.glob = escapeGlob(prefix);
  }
}

/** The watched keys and prefixes of a feed, in a rotation for the heartbeat. */
export class WatchedKeys {
  readonly muted: MutedChannels<WatchedKey> = new MutedChannels<WatchedKey>();
  readonly #keys = new Map<string, WatchedKey>();
  /** By the prefix in patterns. */
  readonly #prefixes = new Map<string, WatchedPrefix>();
  readonly #feed: SubscribedFeed;
  #rotation: Iterator<WatchedKey> | undefined;
  /** The present element of the rotation, and its remaining readings. */
  #current: { readonly watched: WatchedKey; left: number } | undefined;

  constructor(feed: SubscribedFeed) {
    this.#feed = feed;
  }

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
        least = Math.min(least, subscriber?.maxStalenessMs ?? Infinity);
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

  /** Adds a subscription: the {@link WatchedKey} itself for a key or prefix that was not watched before. */
  add(to: SubscriptionTarget, subscriber: Subscriber): FeedSubscription {
    if ('key' in to) {
      const known = this.#keys.get(to.key);
      if (known !== undefined) return known.add(subscriber);
      const watched = new WatchedKey(to.key, subscriber, this.#feed);
      this.#keys.set(to.key, watched);
      return watched;
    }
    const watched = new WatchedPrefix(to.prefix, subscriber, this.#feed);
    const known = this.#prefixes.get(watched.glob);
    if (known !== undefined) return known.add(subscriber);
    this.#prefixes.set(watched.glob, watched);
    return watched;
  }

  /** Returns whether that was the last subscription. */
  remove(subscription: FeedSubscription): boolean {
    if (subscription.subscriber === undefined) return false;
    const { watched } = subscription;
    watched.remove(subscription);
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
