import type { Clock } from '../time/clock.js';
import { createChange, type ChangeSource, type CredentialChange } from '../credential/change.js';
import type { AttemptHint, FeedCondition, Hint, Observation } from '../backend/backend.js';
import { Outline, outlineOf } from '../credential/outline.js';
import {
  absent,
  nextDeadline,
  noLabels,
  type Circumstances,
  type DecodedReading,
  type Known,
  type KnownState,
} from '../credential/state.js';
import { concludeExpiry, transition } from '../credential/transition.js';
import type { Encoding } from '../credential/encoding.js';
import { EndAlarm, type EndAlarmHolder } from '../time/end-alarm.js';
import { HintLabels } from './hint-labels.js';
import { ObservationLoop, type Observer } from './observation-loop.js';
import type { ServerTime } from '../time/server-time.js';
import { decodeObservation } from './decode-observation.js';
import type { SharedStoreOptions } from './entry-options.js';
import { thenSync } from '../time/timers.js';

/** Follows what becomes of entries, whether or not handles watch them. */
export interface EntryFollower<T> {
  /** A reading has been applied. */
  observed(entry: Entry<T>): void;
  /** The key could not be read. */
  refused(entry: Entry<T>): void;
  /** Told before the handles. */
  changed(change: CredentialChange<T>): void;
  /** Nothing is under way any longer. */
  idle(entry: Entry<T>): void;
}

/** The things that all entries of a watch share. */
export interface EntryScope<T> {
  readonly clock: Clock;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
}

/** The watch that an entry belongs to, as the entry sees it: one subscription, to a key or to a prefix. */
export interface EntryOwner<T> {
  readonly scope: EntryScope<T>;
  readonly follower: EntryFollower<T> | undefined;
  idOf(key: string): string;
  /** The condition of the hints about a key; `undefined` before it is told. */
  conditionAt(key: string): FeedCondition | undefined;
  read(key: string): Promise<Observation>;
}

/** The handles on an entry, as the entry sees them. While there are any, it holds the value. */
export interface EntryHandles<T> {
  /** How many writes of this process are under way. */
  readonly ownWrites: number;
  /** Whether a reading has been applied since the first handle came: not before then do they know anything. */
  readonly isFilled: boolean;
  conditionChanged(condition: FeedCondition): void;
  attempted(hint: AttemptHint): void;
  /** A reading is about to be applied. */
  observing(time: ServerTime): void;
  /** Something may have changed; `change` is a difference from what the handles knew. */
  observed(before: KnownState<T>, change: CredentialChange<T> | undefined): void;
  refused(error: unknown): void;
}

/**
 * What is known of one key: with its value while handles watch it, otherwise in outline. Hints come in, observations are made and applied in
 * order, changes go out. There may be very many, so what most do not need most of the time is made on demand.
 */
export class Entry<T> implements Observer, EndAlarmHolder {
  readonly key: string;
  /** The generation of hints in which it was read last; 0 for none, and since Redis has refused it. */
  generation: number;
  readonly #owner: EntryOwner<T>;
  #known: Known<T> | Outline;
  #handles: EntryHandles<T> | undefined;
  #loop: ObservationLoop | undefined;
  #labels: HintLabels | undefined;
  #alarm: EndAlarm | undefined;

  /** @param known - `absent` where it would be known if anything had been stored, and since which generation */
  constructor(key: string, owner: EntryOwner<T>, known: Known<T>, generation: number) {
    this.key = key;
    this.generation = generation;
    this.#owner = owner;
    this.#known = known;
  }

  /** Whether something is stored, as far as is known. */
  get isStored(): boolean {
    return this.#known.digest !== undefined;
  }

  /** Whether handles watch it. */
  get isOpen(): boolean {
    return this.#handles !== undefined;
  }

  get isIdle(): boolean {
    return this.#loop === undefined;
  }

  /** Whether hints arrive and observations can be made. */
  get isLinked(): boolean {
    return this.#condition?.link === 'live';
  }

  /** Whether it was read since hints may have been missed. */
  get isCaughtUp(): boolean {
    return this.generation === this.#condition?.generation;
  }

  /** What is known in full, for handles that {@link EntryHandles.isFilled} holds for. */
  get known(): Known<T> {
    return this.#recall();
  }

  /** Handles come: from now on its value is held. */
  open(handles: EntryHandles<T>): void {
    this.#handles = handles;
  }

  /** The last handle has gone: of what is known the outline stays. */
  release(): void {
    this.#handles = undefined;
    this.#known = outlineOf(this.#recall());
  }

  /** Nothing is done about it any longer. */
  stop(): void {
    this.#loop?.stop();
    this.#loop = undefined;
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  /** Tells its handles the condition of its hints: of a lost link before anything that was lost with it. */
  hear(): void {
    const condition = this.#handles && this.#condition;
    if (condition !== undefined) this.#handles?.conditionChanged(condition);
  }

  hint(hint: Hint | AttemptHint): void {
    this.hear();
    if (hint.type === 'attempt') {
      this.#handles?.attempted(hint);
      return;
    }
    this.#noting().note(hint);
    if (!this.isLinked) return;
    // The hints of an own write arrive a moment before its reply, after which this must be observed; a turn later once is enough.
    if (this.#ownWrites > 0) this.#observing().request();
    else this.#observing().requestNow();
  }

  /** Has it read soon, where it can be. */
  read(): void {
    if (this.isLinked) this.#observing().request();
  }

  /** As {@link Entry.read}; `false`: it cannot be read now, or is being read. */
  poll(): boolean {
    const condition = this.#condition;
    if (condition?.link !== 'live') return false;
    if (this.#loop?.busy === true && this.#loop.generation === condition.generation) return false;
    this.#observing().request();
    return true;
  }

  /** Resolves with `true` when an observation issued from now on has been applied, with `false` when this generation makes none. */
  settled(own?: Hint): Promise<boolean> {
    const settled = this.#observing().settled();
    // Not before: an observation that is under way does not explain it.
    if (own !== undefined) this.#noting().noteAnswer(own);
    return settled;
  }

  /** Hints may have been missed: what is under way says nothing of the time since. */
  catchUp(): void {
    const condition = this.#condition;
    const isLinked = condition?.link === 'live';
    if (!isLinked || this.#loop?.generation !== condition.generation) {
      this.#loop?.stop();
      this.#loop = undefined;
    }
    if (isLinked) this.poll();
    else this.#concludeExpiry();
  }

  observe(loop: ObservationLoop): Promise<void> {
    if (this.#isOver(loop)) return Promise.resolve();
    return this.#owner
      .read(this.key)
      .then((observation) => {
        if (this.#isOver(loop)) return undefined;
        const { encoding } = this.#owner.scope;
        const decoded = decodeObservation(observation, this.#known, encoding, this.isOpen);
        return thenSync(decoded, (reading) => {
          if (reading === 'unchanged') this.#confirm(observation);
          else if (!this.#isOver(loop)) this.#apply(observation, reading);
        });
      })
      .catch((error: unknown) => {
        // The link tells of its own failures; what is left is Redis refusing this very key.
        if (!this.#isOver(loop)) this.#refused(error);
      });
  }

  coveredBy(): void {
    this.#labels?.covered();
  }

  idle(loop: ObservationLoop): void {
    if (this.#loop !== loop) return;
    this.#loop = undefined;
    this.#owner.follower?.idle(this);
  }

  endPassed(): void {
    // Reading makes Redis drop an expired key for everybody, and shows whether somebody moved the end meanwhile. Redis may refuse it, though.
    if (this.isLinked && this.generation > 0) this.#observing().request();
    else this.#concludeExpiry();
  }

  get #condition(): FeedCondition | undefined {
    return this.#owner.conditionAt(this.key);
  }

  get #ownWrites(): number {
    return this.#handles?.ownWrites ?? 0;
  }

  #observing(): ObservationLoop {
    const generation = this.#condition?.generation ?? 0;
    if (this.#loop?.generation !== generation) {
      this.#loop?.stop();
      this.#loop = new ObservationLoop(this.#owner.scope.clock, this, generation);
    }
    return this.#loop;
  }

  /** Whether the generation of a loop is over; what it was to find is then asked for in the present one. */
  #isOver(loop: ObservationLoop): boolean {
    if (loop.isStopped()) return true;
    if (loop.generation === this.#condition?.generation) return false;
    this.hear();
    this.catchUp();
    return true;
  }

  #apply(observation: Observation, reading: DecodedReading<T>): void {
    const { time, serverNow, toleranceMs } = observation;
    this.hear();
    const now = Math.max(serverNow, time.earliest());
    const held = this.#handles?.isFilled === true;
    const before = this.#recall(reading);
    const labels = this.#labels?.read() ?? noLabels;
    const source = this.isCaughtUp ? 'live' : 'resync';
    const step = transition(before, reading, this.#when(now, source, held, toleranceMs, labels));
    this.#explained();
    this.#handles?.observing(time);
    this.#keep(step.known, held, now, time);
    this.#owner.follower?.observed(this);
    this.#tell(before.state, step.change, held);
  }

  /** The known credentials were read again, and no handle needs its value. */
  #confirm({ time }: Observation): void {
    const known = this.#known;
    this.#explained();
    if (known instanceof Outline && known.end !== undefined) this.#awaitEnd(known.end, time);
    this.#owner.follower?.observed(this);
  }

  /** A reading explains the hints before it, and is of the present generation. */
  #explained(): void {
    this.#labels?.used();
    if (this.#ownWrites === 0 && this.#labels?.empty) this.#labels = undefined;
    this.generation = this.#condition?.generation ?? 0;
  }

  #awaitEnd(end: number, time: ServerTime): void {
    (this.#alarm ??= new EndAlarm(this)).set(time, end);
  }

  #refused(error: unknown): void {
    this.hear();
    this.generation = 0;
    this.#handles?.refused(error);
    this.#concludeExpiry();
    this.#owner.follower?.refused(this);
  }

  /** Cut off from Redis, an end that has passed is all that can be concluded. */
  #concludeExpiry(): void {
    const now = this.#alarm?.now ?? -Infinity;
    const held = this.#handles?.isFilled === true;
    const before = this.#recall();
    const step = concludeExpiry(before, this.#when(now, 'local', held));
    this.#keep(step.known, held, now, this.#alarm?.time);
    this.#tell(before.state, step.change, held);
  }

  /** @param now - by which it was judged; a moment later an end may have passed */
  #keep(known: Known<T>, held: boolean, now: number, time: ServerTime | undefined): void {
    // The value of an expired credential whose bytes went before it was read is not to be had.
    if (this.#handles?.isFilled !== true) this.#known = outlineOf(known);
    else this.#known = held || known.digest !== undefined ? known : absent;
    const end = nextDeadline(known, now);
    if (end === undefined || time === undefined) this.#alarm?.cancel();
    else this.#awaitEnd(end, time);
  }

  /** @param held - whether the value before was held, so that there is something to compare with */
  #tell(before: KnownState<T>, change: CredentialChange<T> | undefined, held: boolean): void {
    const { follower } = this.#owner;
    if (change !== undefined)
      follower?.changed(held ? change : createChange<T>({ ...change, previous: undefined }));
    this.#handles?.observed(before, held ? change : undefined);
  }

  #recall(reading?: DecodedReading<T>): Known<T> {
    const known = this.#known;
    return known instanceof Outline ? known.recall(this.#owner.idOf(this.key), reading) : known;
  }

  #noting(): HintLabels {
    return (this.#labels ??= new HintLabels());
  }

  #when(
    now: number,
    source: ChangeSource,
    held: boolean,
    toleranceMs = 0,
    labels = noLabels,
  ): Circumstances {
    const id = this.#owner.idOf(this.key);
    // A value that is not held shares nothing with what comes.
    const abortOnSaved = !held || this.#owner.scope.options.abortOnSaved;
    return { id, now, source, toleranceMs, labels, abortOnSaved };
  }
}
