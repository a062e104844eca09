import { createFeedCondition, type FeedCondition } from '../../backend/backend.js';
import type { ScriptCommand } from '../../credential/status.js';
import { LinkProof } from '../../backend/link-proof.js';
import type { RedisSettings } from '../connection-options.js';
import { openPollMs } from './command-polls.js';
import type { NotificationModes } from './notification-modes.js';
import { WatchedPrefix, type WatchedKey, type WatchedKeys } from './watched-keys.js';

/** The part of a condition that all keys of a feed have in common. */
type LinkCondition = Pick<FeedCondition, 'link' | 'gap' | 'error'>;

/** The feed, as its conditions see it. */
export interface FeedLink {
  /** The modes of the present session, if there is one. */
  modes(): NotificationModes | undefined;
  /** The monotonic instant up to which all hints have arrived. */
  confirmedAt(): number;
  /** The command by which scripts are refused over the present session. */
  scriptsRefused(): ScriptCommand | undefined;
  /** Whether keys are read over another connection because that of the feed cannot stay up. */
  polls(): boolean;
  settings(): RedisSettings;
  /** This machine's wall clock minus the server's, in milliseconds, as far as known. */
  readonly skewMs: () => number | undefined;
  /** A number that no other generation of any feed has. */
  newGeneration(): number;
}

/** The conditions of the keys of one feed, and their reports. Keys in the same condition share one object, because there may be very many. */
export class FeedConditions {
  readonly #keys: WatchedKeys;
  readonly #feed: FeedLink;
  readonly #shared = new Map<string, FeedCondition>();
  #link: LinkCondition = { link: 'connecting', gap: 'link', error: undefined };
  #generation = 0;
  #proof: LinkProof;
  /** Whether this process may announce its writes, as far as known. */
  #canAnnounce = true;

  constructor(keys: WatchedKeys, feed: FeedLink) {
    this.#keys = keys;
    this.#feed = feed;
    this.#proof = new LinkProof(() => feed.confirmedAt());
  }

  of(watched: WatchedKey): FeedCondition {
    const { subscribedTo } = watched;
    const modes = this.#feed.modes();
    const { link } = this.#link;
    const polls = this.#feed.polls();
    const subscribed = link !== 'live' || polls || subscribedTo !== undefined;
    const mode = modes?.of({ subscribedTo }) ?? 'polling';
    const isPrefix = watched instanceof WatchedPrefix;
    const name = `${String(subscribed)} ${mode} ${String(polls && isPrefix)}`;
    let condition = this.#shared.get(name);
    if (condition === undefined) {
      const settings = this.#feed.settings();
      const { heartbeatMs, pollMs, replyTimeoutMs, sweepMs } = settings;
      const polledMs = polls ? (isPrefix ? pollMs : openPollMs(settings)) + replyTimeoutMs : 0;
      condition = createFeedCondition({
        ...this.#link,
        generation: this.#generation,
        link: subscribed ? link : 'connecting',
        notifications: mode,
        announcing: this.#canAnnounce,
        scriptsRefused: this.#feed.scriptsRefused(),
        sweepMs: mode === 'keyspace' ? sweepMs : undefined,
        maxLagMs: modes?.maxLagMs(mode, this.#keys.size) ?? polledMs,
        proof: this.#proof,
        skewMs: this.#feed.skewMs,
        provenWithinMs: heartbeatMs + replyTimeoutMs,
      });
      this.#shared.set(name, condition);
    }
    return condition;
  }

  /** Begins a generation: hints may have been missed. */
  begin(next: Pick<FeedCondition, 'gap'> & Partial<LinkCondition>): void {
    this.#link = { ...this.#link, ...next };
    this.#generation = this.#feed.newGeneration();
    this.#proof.stop();
    this.#proof = new LinkProof(() => this.#feed.confirmedAt());
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
