import { createFeedCondition, type FeedCondition } from '../../backend/backend.js';
import type { NotificationModes } from './notification-modes.js';
import type { WatchedKey, WatchedKeys } from './watched-keys.js';

/** The part of a condition that all keys of a feed have in common. */
type LinkCondition = Pick<FeedCondition, 'link' | 'gap' | 'error'>;

/** The conditions of the keys of one feed, and their reports. Keys in the same condition share one object, because there may be very many. */
export class FeedConditions {
  readonly #keys: WatchedKeys;
  readonly #newGeneration: () => number;
  readonly #modes: () => NotificationModes | undefined;
  readonly #shared = new Map<string, FeedCondition>();
  #link: LinkCondition = { link: 'connecting', gap: 'link', error: undefined };
  #generation = 0;
  /** Whether this process may announce its writes, as far as known. */
  #canAnnounce = true;

  /** @param modes - the modes of the present session, if there is one */
  constructor(
    keys: WatchedKeys,
    newGeneration: () => number,
    modes: () => NotificationModes | undefined,
  ) {
    this.#keys = keys;
    this.#newGeneration = newGeneration;
    this.#modes = modes;
  }

  of({ subscribedTo }: Pick<WatchedKey, 'subscribedTo'>): FeedCondition {
    const modes = this.#modes();
    const { link } = this.#link;
    const subscribed = link !== 'live' || subscribedTo !== undefined;
    const mode = modes?.of({ subscribedTo }) ?? 'polling';
    const name = `${String(subscribed)} ${mode}`;
    let condition = this.#shared.get(name);
    if (condition === undefined) {
      condition = createFeedCondition({
        ...this.#link,
        generation: this.#generation,
        link: subscribed ? link : 'connecting',
        notifications: mode,
        announcing: this.#canAnnounce,
        maxLagMs: modes?.maxLagMs(mode, this.#keys.size) ?? 0,
      });
      this.#shared.set(name, condition);
    }
    return condition;
  }

  /** Begins a generation: hints may have been missed. */
  begin(next: Pick<FeedCondition, 'gap'> & Partial<LinkCondition>): void {
    this.#link = { ...this.#link, ...next };
    this.#generation = this.#newGeneration();
    this.report();
  }

  /** Forgets the link, and reports nothing: no key is watched. */
  reset(): void {
    this.#shared.clear();
    this.#link = { ...this.#link, link: 'connecting', error: undefined };
  }

  setCanAnnounce(canAnnounce: boolean): void {
    if (canAnnounce === this.#canAnnounce) return;
    this.#canAnnounce = canAnnounce;
    this.report();
  }

  /** Reports the changed condition to the subscribers, of all keys or of `some`. */
  report(some?: readonly WatchedKey[]): void {
    if (some === undefined) this.#shared.clear();
    this.#keys.report((watched) => this.of(watched), some);
  }
}
