import type { Clock } from '../time/clock.js';
import { createChange, type ChangeSource, type CredentialChange } from '../credential/change.js';
import type { AttemptHint, FeedCondition, Hint, Observation } from '../backend/backend.js';
import { Outline, outlineOf } from '../credential/outline.js';
import {
  absent,
  hasEnded,
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

/** The receiver of the changes of all entries, watched by handles or not. */
export interface EntryFollower<T> {
  /** A reading has been applied. */
  observed(entry: Entry<T>): void;
  /** The key could not be read. */
  refused(entry: Entry<T>): void;
  /** Called before the handles. */
  changed(change: CredentialChange<T>): void;
  /** No reading is under way any longer. */
  idle(entry: Entry<T>): void;
}

/** The parts that all entries of a watch share. */
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
  /** The condition of the hints about a key; `undefined` before the first report. */
  conditionAt(key: string): FeedCondition | undefined;
  read(key: string): Promise<Observation>;
}

/** The handles on an entry, as the entry sees them. While there are handles, the entry holds the value. */
export interface EntryHandles<T> {
  /** The number of writes of this process under way. */
  readonly ownWrites: number;
  /** Whether a reading has been applied since the first handle came; before, the handles know no state. */
  readonly isFilled: boolean;
  conditionChanged(condition: FeedCondition): void;
  attempted(hint: AttemptHint): void;
  /** A reading is about to be applied. */
  observing(time: ServerTime): void;
  /**
   * The state may be another one; `change` is a difference from the state that the handles knew.
   *
   * @param readAt - the server's time of the reading; `undefined` for an expiry that was concluded without one
   */
  observed(change: CredentialChange<T> | undefined, readAt: number | undefined): void;
  /** Withdraws the credential of the previous state, if the change ends it. */
  withdraw(before: KnownState<T>, change: CredentialChange<T>): void;
  refused(error: unknown): void;
  /** The state may not be fresh any longer. */
  stalenessChanged(): void;
}

/**
 * The known state of one key: with its value while handles watch it, otherwise in outline. Hints come in, observations are made and applied
 * in order, changes go out. There may be very many entries, therefore rarely used parts are created on demand.
 */
export class Entry<T> implements Observer, EndAlarmHolder {
  readonly key: string;
  /** The generation of hints of the last reading; 0 for none, and after Redis refused the key. */
  generation: number;
  /** The round of the follower that waits for a reading of the entry. */
  awaitedIn: object | undefined;
  readonly #owner: EntryOwner<T>;
  #known: Known<T> | Outline;
  #handles: EntryHandles<T> | undefined;
  #loop: ObservationLoop | undefined;
  #labels: HintLabels | undefined;
  #alarm: EndAlarm | undefined;

  /** @param known - `absent` when a stored credential would be known already, with the generation since which that holds */
  constructor(key: string, owner: EntryOwner<T>, known: Known<T>, generation: number) {
    this.key = key;
    this.generation = generation;
    this.#owner = owner;
    this.#known = known;
  }

  /** Whether the key is stored, as far as known. */
  get isStored(): boolean {
    return this.#known.digest !== undefined;
  }

  /** Whether handles watch the entry. */
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

  /** Whether the key was read since the last gap. */
  get isCaughtUp(): boolean {
    return this.generation === this.#condition?.generation;
  }

  /** The known state with its value, for handles with {@link EntryHandles.isFilled}. */
  get known(): Known<T> {
    return this.#recall();
  }

  /** The first handle comes: the entry holds the value from now on. */
  open(handles: EntryHandles<T>): void {
    const underWay = this.#loop;
    this.#handles = handles;
    if (underWay === undefined) return;
    // A reading under way is older than the handle, which may know of a later write. Another one finds the change that it was to find.
    underWay.stop();
    this.#loop = undefined;
    this.read();
  }

  /** The last handle has gone: only the outline stays. */
  release(): void {
    this.#handles = undefined;
    this.#known = outlineOf(this.#recall());
  }

  /** Ends all readings and timers of the entry. */
  stop(): void {
    this.#loop?.stop();
    this.#loop = undefined;
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  /** Reports the condition of the hints to the handles: a lost link before any effect of the loss. */
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
    // The hints of an own write arrive a moment before its reply, which needs a reading too; one turn later, one reading covers both.
    if (this.#ownWrites > 0) this.#observing().request();
    else this.#observing().requestNow();
  }

  /** Requests a reading soon, if the key can be read. */
  read(): void {
    if (this.isLinked) this.#observing().request();
  }

  /** As {@link Entry.read}; `false`: the key cannot be read now, or a reading is under way. */
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
    // An observation under way does not cover the hint, so the label comes after it.
    if (own !== undefined) this.#noting().noteAnswer(own);
    return settled;
  }

  /** Hints may have been missed: a reading under way does not cover the time since. */
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
        // The condition reports failures of the link; any other error means that Redis refuses this very key.
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
    // A reading makes Redis drop the expired key for all clients, and shows whether a client has moved the end. Redis may refuse it.
    if (this.isLinked && this.generation > 0) this.#observing().request();
    else this.#concludeExpiry();
  }

  get #condition(): FeedCondition | undefined {
    return this.#owner.conditionAt(this.key);
  }

  get #validUntil(): number | undefined {
    const known = this.#known;
    if (known instanceof Outline) return known.end;
    return known.state.type === 'present' ? known.state.snapshot.expiresAt : undefined;
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

  /** Whether the generation of a loop is over; then the present generation requests the reading. */
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
    this.#tell(before.state, step.change, held, serverNow);
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
    this.#handles?.stalenessChanged();
    this.#owner.follower?.refused(this);
  }

  /** Without a link, only an expiry can be concluded. */
  #concludeExpiry(): void {
    const alarm = this.#alarm;
    if (alarm === undefined) return;
    const { now, time } = alarm;
    // Most credentials have not ended when a link is lost, and there may be very many.
    if (!hasEnded(this.#validUntil, now)) {
      alarm.rearm();
      return;
    }
    const held = this.#handles?.isFilled === true;
    const before = this.#recall();
    const step = concludeExpiry(before, this.#when(now, 'local', held));
    this.#keep(step.known, held, now, time);
    this.#tell(before.state, step.change, held);
  }

  /** @param now - the instant of the transition; a moment later an end may have passed */
  #keep(known: Known<T>, held: boolean, now: number, time: ServerTime | undefined): void {
    // The value of an expired credential cannot be read any more when its bytes are gone.
    if (this.#handles?.isFilled !== true) this.#known = outlineOf(known);
    else this.#known = held || known.digest !== undefined ? known : absent;
    const end = nextDeadline(known, now);
    if (end === undefined || time === undefined) this.#alarm?.cancel();
    else this.#awaitEnd(end, time);
  }

  /** @param held - whether the previous value was held, so that a change has a `previous` */
  #tell(
    before: KnownState<T>,
    change: CredentialChange<T> | undefined,
    held: boolean,
    readAt?: number,
  ): void {
    const { follower } = this.#owner;
    const handles = this.#handles;
    if (change !== undefined)
      follower?.changed(held ? change : createChange<T>({ ...change, previous: undefined }));
    const known = held ? change : undefined;
    // The follower may have closed the handles, or opened them anew: then they do not know the state before.
    if (handles === this.#handles) handles?.observed(handles.isFilled ? known : undefined, readAt);
    if (known !== undefined) handles?.withdraw(before, known);
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
    // A value that is not held shares no withdrawal with its successor.
    const abortOnSaved = !held || this.#owner.scope.options.abortOnSaved;
    return { id, now, source, toleranceMs, labels, abortOnSaved };
  }
}
