import type { Clock } from '../../time/clock.js';
import { replyWord } from '../reply-errors.js';
import type { ChannelKind } from './hints/muted-channels.js';
import type { Subscriptions } from './subscriptions.js';
import type { WatchedKey, WatchedKeys } from './watched-keys.js';

/** The owner of a {@link SubscriptionBatcher}. */
export interface SubscriptionBatcherOwner {
  readonly clock: Clock;
  readonly keys: WatchedKeys;
  readonly random: () => number;
  /** Resolves when further keys may be read. Never rejects. */
  prepared(): Promise<void>;
  /** The subscriptions of `some` keys have changed. */
  changed(some: readonly WatchedKey[]): void;
  /** The link is lost, or not to be trusted. */
  failed(error: unknown): void;
}

/** Keeps the subscriptions of one session in step with the watched keys; the keys that come in one turn are subscribed to together. */
export class SubscriptionBatcher {
  readonly #subscriptions: Subscriptions;
  readonly #owner: SubscriptionBatcherOwner;
  #waiting: WatchedKey[] = [];
  #stopped = false;

  constructor(subscriptions: Subscriptions, owner: SubscriptionBatcherOwner) {
    this.#subscriptions = subscriptions;
    this.#owner = owner;
  }

  /** Subscribes to all keys watched now. @throws ConnectionLostError, or a passing error reply */
  async addAll(): Promise<void> {
    const wanted = [...this.#owner.keys];
    await this.#subscriptions.subscribe(wanted);
    for (const watched of wanted) if (watched.isAbandoned) this.remove(watched);
  }

  /** Subscribes to a key, together with all other keys of the same turn. */
  add(watched: WatchedKey): void {
    this.#waiting.push(watched);
    if (this.#waiting.length > 1) return;
    this.#owner.clock.nextTurn(() => {
      const unsubscribed = this.#waiting.filter(
        ({ subscribedTo, isAbandoned }) => subscribedTo === undefined && !isAbandoned,
      );
      this.#waiting = [];
      if (!this.#stopped && unsubscribed.length > 0) void this.#subscribe(unsubscribed);
    });
  }

  remove(watched: WatchedKey): void {
    this.#subscriptions.unsubscribe(watched).catch(this.#failUnlessRefused);
  }

  /** Leaves a flooded channel until the next {@link SubscriptionBatcher.retry}. */
  mute(watched: WatchedKey, kind: ChannelKind): void {
    this.#subscriptions.mute(watched, kind).catch(this.#failUnlessRefused);
    this.#owner.changed([watched]);
  }

  /** Repeats refused subscriptions, because permissions may have been granted since, and those to flooded channels. */
  retry(): void {
    this.#retry().catch(this.#failUnlessRefused);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #retry(): Promise<void> {
    const { keys, random } = this.#owner;
    const unmuted = await this.#subscriptions.unmute();
    if (!this.#stopped && unmuted.length > 0) {
      this.#owner.changed(unmuted);
      // A change may have come after the last poll and before the subscription.
      for (const one of unmuted) one.pollOpen();
    }
    const gained = await this.#subscriptions.retryRefused(keys, random);
    if (!this.#stopped && gained.length > 0) this.#owner.changed(gained);
  }

  async #subscribe(unsubscribed: readonly WatchedKey[]): Promise<void> {
    try {
      await Promise.all([this.#subscriptions.subscribe(unsubscribed), this.#owner.prepared()]);
      if (this.#stopped) return;
      for (const watched of unsubscribed) {
        // The last subscriber left meanwhile, unless another one came for the same key.
        if (!this.#owner.keys.has(watched)) this.remove(watched);
      }
      this.#owner.changed(unsubscribed);
    } catch (error) {
      this.#owner.failed(error);
    }
  }

  readonly #failUnlessRefused = (error: unknown): void => {
    if (replyWord(error) === undefined) this.#owner.failed(error);
  };
}
