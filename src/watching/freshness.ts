import type { Clock } from '../time/clock.js';
import { servingLimitMs, type Backend, type FeedCondition } from '../backend/backend.js';
import { EventSourceBase } from './event-source.js';
import type { Known, WithheldState } from '../credential/state.js';
import type { HintLabels } from './entry/hint-labels.js';
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
  /** The monotonic instant up to which the credential is known to be unchanged. */
  readonly provenAt: number;
  /** The monotonic instant at which a removal that no reading has confirmed ends the serving; `Infinity` for none. */
  readonly doubtedFrom: number;
  readonly options: { readonly maxStalenessMs: number };
  stalenessChanged(): void;
}

/** Converts a monotonic instant to the wall clock. */
export function wallTime(clock: Clock, monotonic: number): number {
  return Math.round(clock.now() - (clock.monotonic() - monotonic));
}

/** The reasons why this process does not vouch for a credential. Created on demand, because most credentials are fresh most of the time. */
class Trouble {
  /** This machine's clocks stepped since the last observation. */
  clockDoubt = false;
  refusal: Error | undefined;
  /** The monotonic instant up to which all hints about the held credential have arrived; only while stale. */
  staleSince: number | undefined;
  /** The same for the generation before a gap, until a reading. */
  provenAt: number | undefined;
  withheld: WithheldState | undefined;
  readonly #holder: TroubleHolder;
  /** The monotonic instant that the timer waits for. */
  #withholdAt = Infinity;
  #cancelTimer: (() => void) | undefined;

  constructor(holder: TroubleHolder) {
    this.#holder = holder;
  }

  get isOver(): boolean {
    return this.staleSince === undefined && !this.clockDoubt && this.refusal === undefined;
  }

  isTooStale(at: number): boolean {
    const { doubtedFrom, options } = this.#holder;
    const { staleSince } = this;
    if (staleSince === undefined) return false;
    return at - staleSince >= options.maxStalenessMs || at >= doubtedFrom;
  }

  review(isStale: boolean): void {
    const { clock, provenAt, doubtedFrom, options } = this.#holder;
    if (!isStale) this.stop();
    else {
      this.staleSince ??= this.provenAt ?? provenAt;
      // A hint at a removal may come later than the gap.
      this.#awaitWithholding(Math.min(this.staleSince + options.maxStalenessMs, doubtedFrom));
    }
    const isTooStale = this.isTooStale(clock.monotonic());
    this.#withhold(this.clockDoubt && isStale ? 'clock' : isTooStale ? 'stale' : undefined);
  }

  stop(): void {
    this.#awaitWithholding(Infinity);
    this.staleSince = undefined;
  }

  wall(monotonic: number): number {
    return wallTime(this.#holder.clock, monotonic);
  }

  #awaitWithholding(at: number): void {
    if (at === this.#withholdAt) return;
    this.#cancelTimer?.();
    this.#withholdAt = at;
    const { clock } = this.#holder;
    this.#cancelTimer = setLongTimeout(clock, at - clock.monotonic(), () => {
      this.#holder.stalenessChanged();
    });
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

  abstract readonly backend: Pick<Backend, 'clock' | 'replyTimeoutMs'>;
  /** The hints that no reading has explained, if any. */
  abstract readonly unexplained: HintLabels | undefined;
  abstract readonly known: Known<T>;
  abstract readonly options: { readonly maxStalenessMs: number };
  /** The generation of hints of the last observation; 0 for none. */
  abstract readonly generation: number;

  /** Called when time alone has changed whether the credential may be served. */
  abstract stalenessChanged(): void;

  get clock(): Clock {
    return this.backend.clock;
  }

  get status(): StoreStatus {
    const status = this.#status;
    const views = this.#condition?.views;
    if (views === undefined) return status;
    const isProven = status.freshness !== 'fresh' || !this.isUnproven(this.clock.monotonic());
    return views.of(status, isProven ? undefined : wallTime(this.clock, this.provenAt));
  }

  get provenAt(): number {
    return this.provenAsOf(this.clock.monotonic());
  }

  /** @param at - the present monotonic instant */
  provenAsOf(at: number): number {
    const { unexplained } = this;
    const trouble = this.#trouble;
    const confirmedAt = this.#condition?.proof.confirmedAsOf(at) ?? -Infinity;
    if (unexplained === undefined && trouble === undefined) return confirmedAt;
    return Math.min(confirmedAt, unexplained?.provenAt ?? Infinity, trouble?.provenAt ?? Infinity);
  }

  get doubtedFrom(): number {
    const heardAt = this.unexplained?.removalHeardAt;
    if (heardAt === undefined || this.options.maxStalenessMs === Infinity) return Infinity;
    const { replyTimeoutMs } = this.backend;
    // A backend in this process replies at once, and an absent credential cannot be removed.
    return replyTimeoutMs === 0 || this.known.state.type !== 'present'
      ? Infinity
      : heardAt + replyTimeoutMs;
  }

  /** The condition of the hints, as reported last. */
  get condition(): FeedCondition | undefined {
    return this.#condition;
  }

  /** The state to show instead of the known one; the same object for as long as it lasts. */
  get withheld(): WithheldState | undefined {
    return this.#trouble?.withheld;
  }

  /** As `withheld`, but exact at the monotonic instant `at`, because timers can be late, and this process may have stood still. */
  isWithheld(at: number): boolean {
    const trouble = this.#trouble;
    if (trouble !== undefined && (trouble.withheld !== undefined || trouble.isTooStale(at)))
      return true;
    return this.isUnproven(at);
  }

  /** Whether the last proof is too old at the monotonic instant `at`, also while the link seems to be alive. */
  isUnproven(at: number): boolean {
    const condition = this.#condition;
    if (condition === undefined) return false;
    const limitMs = servingLimitMs(condition, this.options.maxStalenessMs);
    return (
      at - this.provenAsOf(at) > limitMs ||
      (this.unexplained !== undefined && at >= this.doubtedFrom)
    );
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
      // The proof of the new generation says nothing of a state that was read in the one before.
      if (before?.generation === this.generation)
        (this.#trouble ??= new Trouble(this)).provenAt ??= Math.min(
          this.unexplained?.provenAt ?? Infinity,
          before.proof.confirmedAt,
        );
      if (this.#trouble !== undefined) this.#trouble.refusal = undefined;
      if (condition.gap === 'clock') (this.#trouble ??= new Trouble(this)).clockDoubt = true;
    }
    return condition.link !== 'live' || isNew || before.link !== 'live';
  }

  protected takeObservation(): void {
    if (this.#trouble === undefined) return;
    this.#trouble.clockDoubt = false;
    this.#trouble.refusal = undefined;
    this.#trouble.provenAt = undefined;
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
    const limitMs = servingLimitMs(condition, this.options.maxStalenessMs);
    this.publish(statusOf(condition, limitMs, this.#trouble, isCaughtUp, isStale));
  }

  protected publish(status: StoreStatus): void {
    if (isSameStatus(status, this.#status)) return;
    this.#status = status;
    this.emit({ type: 'status', status: this.#condition?.views.passing(status) ?? status });
  }
}

function statusOf(
  condition: FeedCondition,
  limitMs: number,
  trouble: Trouble | undefined,
  isCaughtUp: boolean,
  isStale: boolean,
): StoreStatus {
  if (isCaughtUp && trouble?.refusal === undefined) return condition.fresh(limitMs);
  if (trouble === undefined) return condition.unseen;
  const { refusal, staleSince } = trouble;
  const link = linkOf(condition, refusal, isCaughtUp, isStale);
  return {
    link,
    freshness: isStale ? 'stale' : 'unknown',
    staleSince: staleSince === undefined ? undefined : trouble.wall(staleSince),
    notifications: condition.notifications,
    announcing: condition.announcing,
    scriptsRefused: condition.scriptsRefused,
    maxLagMs: link === 'live' ? condition.maxLagMs : undefined,
    servingLimitMs: isStale || isCaughtUp ? limitMs : undefined,
    clockSkewMs: undefined,
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
