import type { Observation, Subscriber, Subscription } from '../backend/backend.js';

/** The feed that a subscription belongs to. */
interface SubscribedFeed {
  confirmedAt(): number;
  reportClockStep(): void;
  unsubscribe(subscription: MemorySubscription): void;
}

/** The backend of a store, as its feed and its subscriptions see it. */
export interface SubscribedBackend {
  /** The generation in which the store was created. */
  readonly joinedAt: number;
  readonly feed: SubscribedFeed;
  /** Whether it writes as this instance. */
  isInstance(id: string): boolean;
  read(key: string, maxBytes: number): Promise<Observation>;
  readMany(keys: readonly string[], maxBytes: number): Promise<readonly Observation[]>;
}

/** One subscription of one store, to a key or to a prefix. There may be very many. */
export class MemorySubscription implements Subscription {
  /** The key or the prefix. */
  readonly name: string;
  readonly isPrefix: boolean;
  readonly subscriber: Subscriber;
  readonly backend: SubscribedBackend;

  constructor(name: string, isPrefix: boolean, subscriber: Subscriber, backend: SubscribedBackend) {
    this.name = name;
    this.isPrefix = isPrefix;
    this.subscriber = subscriber;
    this.backend = backend;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.backend.read(key, maxBytes);
  }

  readMany(keys: readonly string[], maxBytes: number): Promise<readonly Observation[]> {
    return this.backend.readMany(keys, maxBytes);
  }

  confirmedAt(): number {
    return this.backend.feed.confirmedAt();
  }

  reportClockStep(): void {
    this.backend.feed.reportClockStep();
  }

  close(): void {
    this.backend.feed.unsubscribe(this);
  }
}
