import type { Clock } from '../time/clock.js';
import type { FeedCondition } from '../backend/backend.js';
import type { WithheldState } from '../credential/state.js';
import { UnavailableError } from '../errors.js';
import {
  idleStatus,
  isSameStatus,
  startingStatus,
  type LinkStatus,
  type StoreStatus,
} from '../credential/status.js';
import { setLongTimeout } from '../time/timers.js';

/** What it judges. */
export interface FreshnessHolder {
  readonly clock: Clock;
  readonly options: { readonly maxStalenessMs: number };
  /** The monotonic instant up to which all hints have arrived. */
  readonly confirmedAt: number;
  /** The generation of hints in which it was observed last; 0 for none. */
  readonly generation: number;
  /** What may be served has changed by the passing of time. */
  stalenessChanged(): void;
  statusChanged(status: StoreStatus): void;
}

/** What is wrong, as far as anything is. */
interface Trouble {
  /** This machine's clocks came apart since the last observation. */
  clockDoubt: boolean;
  refusal: Error | undefined;
  /** Monotonic instant up to which what is held was vouched for; only while stale. */
  staleSince: number | undefined;
  cancelTimer: (() => void) | undefined;
  withheld: WithheldState | undefined;
}

/** Judges how far one watched credential can be trusted: the status it has, and whether it must be withheld. */
export class Freshness {
  readonly #holder: FreshnessHolder;
  #condition: FeedCondition | undefined;
  /** Only while there is any: most credentials are well most of the time. */
  #trouble: Trouble | undefined;
  #status = idleStatus;

  constructor(holder: FreshnessHolder) {
    this.#holder = holder;
  }

  get status(): StoreStatus {
    return this.#status;
  }

  get condition(): FeedCondition | undefined {
    return this.#condition;
  }

  /** Whether hints arrive and observations can be made. */
  get isLinked(): boolean {
    return this.#condition?.link === 'live';
  }

  /** The state to show instead of what is known; the same object for as long as it lasts. */
  get withheld(): WithheldState | undefined {
    return this.#trouble?.withheld;
  }

  /** As `withheld`, to the instant: timers can be late. */
  isWithheld(): boolean {
    const trouble = this.#trouble;
    return trouble !== undefined && (trouble.withheld !== undefined || this.#tooStale(trouble));
  }

  start(): void {
    this.#publish(startingStatus);
  }

  /** Forgets everything, to start again or for good. */
  stop(link: 'idle' | 'closed'): void {
    this.#trouble?.cancelTimer?.();
    this.#trouble = undefined;
    this.#condition = undefined;
    this.#publish(link === 'idle' ? idleStatus : { ...idleStatus, link });
  }

  /** Takes in the feed's condition; says whether everything must be observed anew. */
  conditionChanged(condition: FeedCondition): boolean {
    const newGeneration = condition.generation !== this.#condition?.generation;
    this.#condition = condition;
    if (newGeneration) {
      if (this.#trouble !== undefined) this.#trouble.refusal = undefined;
      if (condition.gap === 'clock') this.#troubled().clockDoubt = true;
    }
    return newGeneration;
  }

  observed(): void {
    if (this.#trouble === undefined) return;
    this.#trouble.clockDoubt = false;
    this.#trouble.refusal = undefined;
  }

  refused(error: Error | undefined): void {
    this.#troubled().refusal = error;
  }

  /** Brings status and withholding up to date; `knows`: whether anything has been observed. */
  review(knows: boolean): void {
    if (this.#condition === undefined) return;
    const isCaughtUp = this.#isCaughtUp(this.#condition);
    const stale = !isCaughtUp && knows;
    if (stale) this.#troubled();
    if (this.#trouble !== undefined) this.#reviewTrouble(this.#trouble, stale);
    this.#publish(this.#judge(this.#condition, isCaughtUp, stale));
  }

  /** Whether it was observed since hints may have been missed. */
  #isCaughtUp({ link, generation }: FeedCondition): boolean {
    return link === 'live' && this.#holder.generation === generation;
  }

  #troubled(): Trouble {
    return (this.#trouble ??= {
      clockDoubt: false,
      refusal: undefined,
      staleSince: undefined,
      cancelTimer: undefined,
      withheld: undefined,
    });
  }

  #reviewTrouble(trouble: Trouble, stale: boolean): void {
    if (!stale) {
      trouble.cancelTimer?.();
      trouble.cancelTimer = undefined;
      trouble.staleSince = undefined;
    } else if (trouble.staleSince === undefined) {
      const { clock, options, confirmedAt } = this.#holder;
      trouble.staleSince = confirmedAt;
      trouble.cancelTimer = setLongTimeout(
        clock,
        confirmedAt + options.maxStalenessMs - clock.monotonic(),
        () => {
          this.#holder.stalenessChanged();
        },
      );
    }
    const { clockDoubt, refusal } = trouble;
    this.#withhold(
      trouble,
      clockDoubt && stale ? 'clock' : this.#tooStale(trouble) ? 'stale' : undefined,
    );
    if (!stale && !clockDoubt && refusal === undefined) this.#trouble = undefined;
  }

  #judge(condition: FeedCondition, isCaughtUp: boolean, stale: boolean): StoreStatus {
    const { refusal, staleSince } = this.#trouble ?? {};
    if (isCaughtUp && refusal === undefined) return condition.fresh;
    if (this.#trouble === undefined) return condition.unseen;
    const link = this.#link(condition, isCaughtUp, stale);
    return {
      link,
      freshness: stale ? 'stale' : 'unknown',
      staleSince: staleSince === undefined ? undefined : Math.round(this.#wall(staleSince)),
      notifications: condition.notifications,
      announcing: condition.announcing,
      maxLagMs: link === 'live' ? condition.maxLagMs : undefined,
      error: refusal ?? condition.error,
    };
  }

  #link(condition: FeedCondition, isCaughtUp: boolean, stale: boolean): LinkStatus {
    const { refusal } = this.#trouble ?? {};
    if (refusal !== undefined && !(refusal instanceof UnavailableError)) return 'unauthorized';
    const linked = condition.link === 'live' ? isCaughtUp : condition.link !== 'connecting';
    if (linked && refusal === undefined) return condition.link;
    // What is known came over another link: the feed of this key has moved to a server that is connected to only now.
    return stale ? 'reconnecting' : 'connecting';
  }

  #tooStale({ staleSince }: Trouble): boolean {
    const { clock, options } = this.#holder;
    return staleSince !== undefined && clock.monotonic() - staleSince >= options.maxStalenessMs;
  }

  #withhold(trouble: Trouble, reason: 'stale' | 'clock' | undefined): void {
    if (reason === trouble.withheld?.reason) return;
    const since = trouble.staleSince ?? this.#holder.clock.monotonic();
    trouble.withheld =
      reason === undefined
        ? undefined
        : { type: 'withheld', reason, since: Math.round(this.#wall(since)) };
  }

  #wall(monotonic: number): number {
    const { clock } = this.#holder;
    return clock.now() - (clock.monotonic() - monotonic);
  }

  #publish(status: StoreStatus): void {
    if (isSameStatus(status, this.#status)) return;
    this.#status = status;
    this.#holder.statusChanged(status);
  }
}
