import type { ChangeSource } from './credential-change.js';
import type { Clock } from './clock.js';
import type { KeyFeed } from './credential-backend.js';
import type { WithheldState } from './credential-state.js';
import type { LinkStatus, StoreStatus } from './store-status.js';
import { after } from './waiting.js';

/** What it judges. */
export interface FreshnessHolder {
  /** The monotonic instant up to which all hints have arrived. */
  readonly vouchedAt: number;
  /** What may be served has changed by the passing of time. */
  stalenessChanged(): void;
  statusChanged(status: StoreStatus): void;
}

const idle: StoreStatus = {
  link: 'idle',
  freshness: 'unknown',
  staleSince: undefined,
  notifications: 'polling',
  announcing: true,
  boundMs: undefined,
  error: undefined,
};

/** Judges how far one watched credential can be trusted: the status it has, and whether it must be withheld. */
export class Freshness {
  readonly #clock: Clock;
  readonly #maxStalenessMs: number;
  readonly #holder: FreshnessHolder;
  #feed: KeyFeed | undefined;
  /** Observed since the current generation began. */
  #caughtUp = false;
  #clockDoubt = false;
  #refusal: Error | undefined;
  /** Monotonic instant up to which what is held was vouched for; only while stale. */
  #staleSince: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #withheld: WithheldState | undefined;
  #status = idle;

  constructor(clock: Clock, maxStalenessMs: number, holder: FreshnessHolder) {
    this.#clock = clock;
    this.#maxStalenessMs = maxStalenessMs;
    this.#holder = holder;
  }

  get status(): StoreStatus {
    return this.#status;
  }

  get source(): ChangeSource {
    return this.#caughtUp ? 'live' : 'resync';
  }

  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** The state to show instead of what is known; the same object for as long as it lasts. */
  get withheld(): WithheldState | undefined {
    return this.#withheld;
  }

  /** As `withheld`, to the instant: timers can be late. */
  isWithheld(): boolean {
    return this.#withheld !== undefined || this.#tooStale();
  }

  start(): void {
    this.#publish({ ...idle, link: 'connecting' });
  }

  /** Forgets everything, to start again or for good. */
  stop(link: 'idle' | 'closed'): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#feed = undefined;
    this.#caughtUp = false;
    this.#clockDoubt = false;
    this.#refusal = undefined;
    this.#staleSince = undefined;
    this.#withheld = undefined;
    this.#publish(link === 'idle' ? idle : { ...idle, link });
  }

  /** Takes in the feed's condition; says whether everything must be observed anew. */
  feed(feed: KeyFeed): boolean {
    const newGeneration = feed.generation !== this.#feed?.generation;
    this.#feed = feed;
    if (newGeneration || feed.link !== 'live') this.#caughtUp = false;
    if (newGeneration) {
      this.#refusal = undefined;
      if (feed.gap === 'clock') this.#clockDoubt = true;
    }
    return newGeneration;
  }

  observed(): void {
    this.#caughtUp = true;
    this.#clockDoubt = false;
    this.#refusal = undefined;
  }

  refused(error: Error | undefined): void {
    this.#refusal = error;
    this.#caughtUp = false;
  }

  /** Brings status and withholding up to date; `knows`: whether anything has been observed. */
  review(knows: boolean): void {
    if (this.#feed === undefined) return;
    const stale = !this.#caughtUp && knows;
    if (!stale) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
      this.#staleSince = undefined;
    } else if (this.#staleSince === undefined) {
      const since = this.#holder.vouchedAt;
      this.#staleSince = since;
      this.#cancelTimer = after(
        this.#clock,
        since + this.#maxStalenessMs - this.#clock.monotonic(),
        () => {
          this.#holder.stalenessChanged();
        },
      );
    }
    this.#withhold(this.#clockDoubt && stale ? 'clock' : this.#tooStale() ? 'stale' : undefined);
    this.#publish(this.#judge(this.#feed, stale));
  }

  #judge(feed: KeyFeed, stale: boolean): StoreStatus {
    if (this.#caughtUp && this.#refusal === undefined) return feed.fresh;
    const link = this.#link(feed, stale);
    return {
      link,
      freshness: stale ? 'stale' : 'unknown',
      staleSince:
        this.#staleSince === undefined ? undefined : Math.round(this.#wall(this.#staleSince)),
      notifications: feed.notifications,
      announcing: feed.announcing,
      boundMs: link === 'live' ? feed.boundMs : undefined,
      error: this.#refusal ?? feed.error,
    };
  }

  #link(feed: KeyFeed, stale: boolean): LinkStatus {
    if (this.#refusal !== undefined) return 'unauthorized';
    if (feed.link !== 'live' || this.#caughtUp) return feed.link;
    return stale ? 'reconnecting' : 'connecting';
  }

  #tooStale(): boolean {
    const since = this.#staleSince;
    return since !== undefined && this.#clock.monotonic() - since >= this.#maxStalenessMs;
  }

  #withhold(reason: 'stale' | 'clock' | undefined): void {
    if (reason === this.#withheld?.reason) return;
    this.#withheld =
      reason === undefined
        ? undefined
        : {
            type: 'withheld',
            reason,
            since: Math.round(this.#wall(this.#staleSince ?? this.#clock.monotonic())),
          };
  }

  #wall(monotonic: number): number {
    return this.#clock.now() - (this.#clock.monotonic() - monotonic);
  }

  #publish(status: StoreStatus): void {
    const before = this.#status;
    if (status === before) return;
    const names = Object.keys(status) as (keyof StoreStatus)[];
    // The wall clock makes this one wobble.
    if (names.every((name) => name === 'staleSince' || status[name] === before[name])) return;
    this.#status = status;
    this.#holder.statusChanged(status);
  }
}
