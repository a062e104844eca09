import type { Clock } from '../time/clock.js';
import type { FeedCondition } from '../backend/backend.js';
import { EventSourceBase } from './event-source.js';
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

/** The part of a {@link Freshness} that its {@link Trouble} uses. */
interface TroubleHolder {
  readonly clock: Clock;
  readonly confirmedAt: number;
  readonly options: { readonly maxStalenessMs: number };
  stalenessChanged(): void;
}

/** The reasons why this process does not vouch for a credential. Created on demand, because most credentials are fresh most of the time. */
class Trouble {
  /** This machine's clocks stepped since the last observation. */
  clockDoubt = false;
  refusal: Error | undefined;
  /** The monotonic instant up to which all hints about the held credential have arrived; only while stale. */
  staleSince: number | undefined;
  withheld: WithheldState | undefined;
  readonly #holder: TroubleHolder;
  #cancelTimer: (() => void) | undefined;

  constructor(holder: TroubleHolder) {
    this.#holder = holder;
  }

  get isOver(): boolean {
    return this.staleSince === undefined && !this.clockDoubt && this.refusal === undefined;
  }

  get isTooStale(): boolean {
    const { clock, options } = this.#holder;
    const { staleSince } = this;
    return staleSince !== undefined && clock.monotonic() - staleSince >= options.maxStalenessMs;
  }

  review(isStale: boolean): void {
    if (!isStale) this.stop();
    else if (this.staleSince === undefined) {
      const { clock, confirmedAt, options } = this.#holder;
      this.staleSince = confirmedAt;
      const delayMs = confirmedAt + options.maxStalenessMs - clock.monotonic();
      this.#cancelTimer = setLongTimeout(clock, delayMs, () => {
        this.#holder.stalenessChanged();
      });
    }
    this.#withhold(this.clockDoubt && isStale ? 'clock' : this.isTooStale ? 'stale' : undefined);
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.staleSince = undefined;
  }

  /** Converts a monotonic instant to the wall clock. */
  wall(monotonic: number): number {
    const { clock } = this.#holder;
    return Math.round(clock.now() - (clock.monotonic() - monotonic));
  }

  #withhold(reason: 'stale' | 'clock' | undefined): void {
    if (reason === this.withheld?.reason) return;
    const since = this.wall(this.staleSince ?? this.#holder.clock.monotonic());
    this.withheld = reason && { type: 'withheld', reason, since };
  }
}

/**
 * The judgement how far this process vouches for a watched credential: its status, and whether it is withheld. There are no private methods,
 * because they would cost each credential a field.
 */
export abstract class Freshness<T> extends EventSourceBase<T> implements TroubleHolder {
  #condition: FeedCondition | undefined;
  #trouble: Trouble | undefined;
  #status = idleStatus;

  abstract readonly clock: Clock;
  /** The monotonic instant up to which all hints have arrived. */
  abstract readonly confirmedAt: number;
  abstract readonly options: { readonly maxStalenessMs: number };
  /** The generation of hints of the last observation; 0 for none. */
  abstract readonly generation: number;

  /** Called when time alone has changed whether the credential may be served. */
  abstract stalenessChanged(): void;

  get status(): StoreStatus {
    return this.#status;
  }

  /** The condition of the hints, as reported last. */
  get condition(): FeedCondition | undefined {
    return this.#condition;
  }

  /** The state to show instead of the known one; the same object for as long as it lasts. */
  get withheld(): WithheldState | undefined {
    return this.#trouble?.withheld;
  }

  /** As `withheld`, but exact at this instant, because timers can be late. */
  isWithheld(): boolean {
    const trouble = this.#trouble;
    return trouble !== undefined && (trouble.withheld !== undefined || trouble.isTooStale);
  }

  protected override start(): void {
    this.publish(startingStatus);
  }

  /** Forgets all, at the end of a watch. */
  protected override stop(link: 'idle' | 'closed'): void {
    this.#trouble?.stop();
    this.#trouble = undefined;
    this.#condition = undefined;
    this.publish(link === 'idle' ? idleStatus : { ...idleStatus, link });
  }

  /** Applies the feed's condition; returns whether the credential must be read again. */
  protected takeCondition(condition: FeedCondition): boolean {
    const before = this.#condition;
    this.#condition = condition;
    const isNew = condition.generation !== before?.generation;
    if (isNew) {
      if (this.#trouble !== undefined) this.#trouble.refusal = undefined;
      if (condition.gap === 'clock') (this.#trouble ??= new Trouble(this)).clockDoubt = true;
    }
    return condition.link !== 'live' || isNew || before.link !== 'live';
  }

  protected takeObservation(): void {
    if (this.#trouble === undefined) return;
    this.#trouble.clockDoubt = false;
    this.#trouble.refusal = undefined;
  }

  protected takeRefusal(error: Error | undefined): void {
    (this.#trouble ??= new Trouble(this)).refusal = error;
  }

  /** Updates the status and the withholding; `knows`: whether there has been an observation. */
  protected judge(knows: boolean): void {
    const condition = this.#condition;
    if (condition === undefined) return;
    const isCaughtUp = condition.link === 'live' && this.generation === condition.generation;
    const isStale = !isCaughtUp && knows;
    const trouble = isStale ? (this.#trouble ??= new Trouble(this)) : this.#trouble;
    trouble?.review(isStale);
    if (trouble?.isOver) this.#trouble = undefined;
    this.publish(statusOf(condition, this.#trouble, isCaughtUp, isStale));
  }

  protected publish(status: StoreStatus): void {
    if (isSameStatus(status, this.#status)) return;
    this.#status = status;
    this.emit({ type: 'status', status });
  }
}

function statusOf(
  condition: FeedCondition,
  trouble: Trouble | undefined,
  isCaughtUp: boolean,
  isStale: boolean,
): StoreStatus {
  if (isCaughtUp && trouble?.refusal === undefined) return condition.fresh;
  if (trouble === undefined) return condition.unseen;
  const { refusal, staleSince } = trouble;
  const link = linkOf(condition, refusal, isCaughtUp, isStale);
  return {
    link,
    freshness: isStale ? 'stale' : 'unknown',
    staleSince: staleSince === undefined ? undefined : trouble.wall(staleSince),
    notifications: condition.notifications,
    announcing: condition.announcing,
    maxLagMs: link === 'live' ? condition.maxLagMs : undefined,
    error: refusal ?? condition.error,
  };
}

function linkOf(
  { link }: FeedCondition,
  refusal: Error | undefined,
  isCaughtUp: boolean,
  isStale: boolean,
): LinkStatus {
  if (refusal !== undefined && !(refusal instanceof UnavailableError)) return 'unauthorized';
  const isLinked = link === 'live' ? isCaughtUp : link !== 'connecting';
  if (isLinked && refusal === undefined) return link;
  // The known credential came over another link: the feed of its key has moved to a server that is connected to only now.
  return isStale ? 'reconnecting' : 'connecting';
}
