import type { Observation, Subscriber, Subscription } from '../../backend/backend.js';
import type { WatchedKey } from './watched-keys.js';

/** The feed that a subscription belongs to. */
interface SubscribedFeed {
  read(key: string, maxBytes: number): Promise<Observation>;
  readMany(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]>;
  confirmedAt(): number;
  reportClockStep(): void;
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

  close(): void {
    this.#feed.unsubscribe(this);
  }
}
