import type { FeedCondition, Observation } from '../../backend/backend.js';
import { createChange, withdraws, type CredentialChange } from '../../credential/change.js';
import type { ChangeSource } from '../../credential/origin.js';
import { Outline, outlineOf } from '../../credential/outline.js';
import { withdrawalOf } from '../../credential/snapshot.js';
import { withdrawalBy } from '../../credential/change.js';
import {
  absent,
  hasEnded,
  nextDeadline,
  type Labels,
  noLabels,
  type Circumstances,
  type DecodedReading,
  type Known,
  type KnownState,
} from '../../credential/state.js';
import { concludeExpiry, transition } from '../../credential/transition.js';
import { EndAlarm, type EndAlarmHolder } from '../../time/end-alarm.js';
import type { ServerTime } from '../../time/server-time.js';
import type { EntryHandles, EntryOwner, FollowedEntry } from './owner.js';
import { endClear, mayEndClear } from './end-clear.js';
import type { HintLabels } from './hint-labels.js';

/**
 * The known state of one key: with its value while handles watch the key, otherwise in outline. Readings and ends are applied to the state,
 * and the changes that follow are emitted. There may be very many, therefore rarely used parts are created on demand, and there are no
 * private methods, because they would cost each entry a field.
 */
export abstract class KnownEntry<T> implements FollowedEntry, EndAlarmHolder {
  readonly key: string;
  /** The generation of hints of the last reading; 0 for none, and after Redis refused the key. */
  generation: number;
  protected readonly owner: EntryOwner<T>;
  protected handles: EntryHandles<T> | undefined;
  /** The hints that no reading has explained. */
  labels: HintLabels | undefined;
  #known: Known<T> | Outline;
  #alarm: EndAlarm | undefined;

  /** @param known - `absent` when a stored credential would be known already, with the generation since which that holds */
  constructor(key: string, owner: EntryOwner<T>, known: Known<T>, generation: number) {
    this.key = key;
    this.generation = generation;
    this.owner = owner;
    this.#known = known;
  }

  /** Called when the end of the credential has passed for certain. */
  abstract endPassed(): void;

  get isStored(): boolean {
    return this.#known.digest !== undefined;
  }

  get isOpen(): boolean {
    return this.handles !== undefined;
  }

  get isCaughtUp(): boolean {
    return this.generation === this.condition?.generation;
  }

  /** The known state with its value, for handles with {@link EntryHandles.isFilled}. */
  get known(): Known<T> {
    return this.recall();
  }

  /** The last handle has gone: only the outline stays. */
  release(): void {
    this.handles = undefined;
    this.#known = outlineOf(this.recall());
  }

  /** Nothing follows from the known state any longer. */
  stop(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  /** Reports the condition of the hints to the handles: a lost link before any effect of the loss. A handle may close meanwhile. */
  reportCondition(): void {
    const condition = this.handles && this.condition;
    if (condition !== undefined) this.handles?.conditionChanged(condition);
  }

  protected get condition(): FeedCondition | undefined {
    return this.owner.conditionAt(this.key);
  }

  protected get ownWrites(): number {
    return this.handles?.ownWrites ?? 0;
  }

  /** The known state as it takes part in comparisons. */
  protected recall(reading?: DecodedReading<T>): Known<T> {
    const known = this.#known;
    return known instanceof Outline ? known.recall(this.owner.idOf(this.key), reading) : known;
  }

  /** The part of the known state by which a reading is decoded. */
  protected get comparable(): Known<T> | Outline {
    return this.#known;
  }

  /** Applies a reading; returns whether it shows a change. */
  protected apply(observation: Observation, reading: DecodedReading<T>): boolean {
    const { time, serverNow, toleranceMs, lateMs = 0 } = observation;
    const now = Math.max(serverNow, time.earliest());
    const held = this.handles?.isFilled === true;
    const before = this.recall(reading);
    const labels = this.labels?.read() ?? noLabels;
    const source = this.isCaughtUp ? 'live' : 'resync';
    const isHinted = this.labels?.empty === false || this.ownWrites > 0;
    const step = transition(before, reading, {
      ...this.when(now, source, held, labels),
      toleranceMs,
      lateMs,
    });
    this.explained();
    this.handles?.observing(time);
    this.keep(step.known, held, now, time);
    this.owner.follower?.observed(this);
    // A key that ends sends its hint late or never; any other change sends one before the reading that finds it.
    const isSudden = step.change !== undefined && step.change.type !== 'expired';
    if (isSudden && !isHinted && source === 'live')
      this.owner.subscription?.reportMissedHint?.(this.key);
    if (this.ownWrites === 0 && mayEndClear(before, step, labels, isHinted))
      endClear(this.condition, this.owner.scope.backend, this.key, serverNow);
    this.emit(before.state, step.change, held, serverNow);
    return step.change !== undefined;
  }

  /** The known credentials were read again, and no handle needs their value. */
  protected confirm({ time }: Observation): void {
    const known = this.#known;
    this.explained();
    if (known instanceof Outline && known.end !== undefined) this.awaitEnd(known.end, time);
    this.owner.follower?.observed(this);
  }

  /** Redis refuses to read the key. */
  protected refuse(error: unknown): void {
    this.generation = 0;
    this.handles?.refused(error);
    this.concludeExpiry();
    this.handles?.stalenessChanged();
    this.owner.follower?.refused(this);
  }

  /** Applies the end alone: without a link, only an expiry can be concluded. */
  protected concludeExpiry(): void {
    const alarm = this.#alarm;
    if (alarm === undefined) return;
    const { now, time } = alarm;
    const known = this.#known;
    // Most credentials have not ended when a link is lost, and there may be very many.
    if (!hasEnded(known instanceof Outline ? known.end : endOf(known.state), now)) {
      alarm.rearm();
      return;
    }
    const held = this.handles?.isFilled === true;
    const before = this.recall();
    const step = concludeExpiry(before, this.when(now, 'local', held));
    this.keep(step.known, held, now, time);
    this.emit(before.state, step.change, held);
  }

  /** A reading explains the hints before it, and is of the present generation. */
  protected explained(): void {
    this.labels?.used();
    if (this.ownWrites === 0 && this.labels?.empty) this.labels = undefined;
    this.generation = this.condition?.generation ?? 0;
  }

  /** @param now - the instant of the transition; a moment later an end may have passed */
  protected keep(known: Known<T>, held: boolean, now: number, time: ServerTime | undefined): void {
    // The value of an expired credential cannot be read any more when its bytes are gone.
    if (this.handles?.isFilled !== true) this.#known = outlineOf(known);
    else this.#known = held || known.digest !== undefined ? known : absent;
    const end = nextDeadline(known, now);
    if (end === undefined || time === undefined) this.#alarm?.cancel();
    else this.awaitEnd(end, time);
  }

  protected awaitEnd(end: number, time: ServerTime): void {
    (this.#alarm ??= new EndAlarm(this)).set(time, end);
  }

  /** @param held - whether the previous value was held, so that a change has a `previous` */
  protected emit(
    before: KnownState<T>,
    change: CredentialChange<T> | undefined,
    held: boolean,
    readAt?: number,
  ): void {
    const { follower, scope } = this.owner;
    const { handles } = this;
    if (change !== undefined)
      follower?.changed(held ? change : createChange<T>({ ...change, previous: undefined }));
    const known = held ? change : undefined;
    // The follower may have closed the handles, or opened them anew: then they do not know the state before.
    if (handles === this.handles) handles?.observed(handles.isFilled ? known : undefined, readAt);
    if (known === undefined || before.type !== 'present') return;
    if (withdraws(known, scope.options.abortOnSaved))
      withdrawalOf(before.snapshot)?.withdraw(withdrawalBy(known));
  }

  protected when(
    now: number,
    source: ChangeSource,
    held: boolean,
    labels: Labels = noLabels,
  ): Circumstances {
    const id = this.owner.idOf(this.key);
    // A value that is not held shares no withdrawal with its successor.
    const abortOnSaved = !held || this.owner.scope.options.abortOnSaved;
    return { id, now, source, toleranceMs: 0, lateMs: 0, labels, abortOnSaved };
  }
}

/** The end of a valid credential. */
function endOf(state: KnownState<unknown>): number | undefined {
  return state.type === 'present' ? state.snapshot.expiresAt : undefined;
}
