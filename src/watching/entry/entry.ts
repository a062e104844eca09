import type { AttemptHint, Hint, Observation } from '../../backend/backend.js';
import { thenSync } from '../../time/timers.js';
import { decodeObservation } from './decode-observation.js';
import type { EntryHandles } from './owner.js';
import { HintLabels } from './hint-labels.js';
import { KnownEntry } from './known-entry.js';
import { ObservationLoop, type Observer } from './observation-loop.js';

/** A write has a few hints, and some of them may come late. */
const MOST_IN_VAIN = 32;

/** All that a watch knows of one key. A {@link KnownEntry} holds the knowledge; hints, ends and gaps make the entry read the key again. */
export class Entry<T> extends KnownEntry<T> implements Observer {
  #loop: ObservationLoop | undefined;
  /** Hints since the last change that a reading found. */
  #inVain = 0;

  get isIdle(): boolean {
    return this.#loop === undefined;
  }

  /** Whether hints arrive and observations can be made. */
  get isLinked(): boolean {
    return this.condition?.link === 'live';
  }

  /** The first handle comes: the entry holds the value from now on. */
  open(handles: EntryHandles<T>): void {
    const underWay = this.#loop;
    this.handles = handles;
    if (underWay === undefined) return;
    // A reading under way is older than the handle, which may know of a later write. Another one finds the change that it was to find.
    this.stopReading();
    this.read();
  }

  /** Ends all readings and timers of the entry. */
  override stop(): void {
    this.stopReading();
    super.stop();
  }

  /** Takes a hint; the handles know the condition of the hints already. */
  hint(hint: Hint | AttemptHint): void {
    if (hint.type === 'attempt') {
      this.handles?.attempted(hint);
      return;
    }
    const labels = (this.labels ??= new HintLabels());
    const wasHinted = labels.removalHeardAt !== undefined;
    labels.note(hint, this.confirmedAt, this.now());
    if (!this.isLinked) return;
    this.#inVain += 1;
    // A client that publishes without any change must not make this process read all the time.
    if (this.#inVain > MOST_IN_VAIN) this.observing().requestLater();
    // The hints of an own write arrive a moment before its reply, which needs a reading too; one turn later, one reading covers both.
    else if (this.ownWrites > 0) this.observing().request();
    else this.observing().requestNow();
    // After a gap the handles already wait for the end of the serving, which a removal brings nearer.
    if (hint.type === 'removed' && !wasHinted && !this.isCaughtUp) this.handles?.stalenessChanged();
  }

  /** Requests a reading soon, if the key can be read. */
  read(): void {
    if (this.isLinked) this.observing().request();
  }

  /** As {@link Entry.read}; `false`: the key cannot be read now, or a reading is under way. */
  poll(): boolean {
    const { condition } = this;
    if (condition?.link !== 'live') return false;
    if (this.#loop?.busy === true && this.#loop.generation === condition.generation) return false;
    this.observing().request();
    return true;
  }

  /** Resolves with `true` when an observation issued from now on has been applied, with `false` when this generation makes none. */
  settled(own?: Hint): Promise<boolean> {
    const settled = this.observing().settled();
    // An observation under way does not cover the hint, so the label comes after it.
    if (own !== undefined)
      (this.labels ??= new HintLabels()).noteAnswer(own, this.confirmedAt, this.now());
    return settled;
  }

  /** Hints may have been missed: a reading under way does not cover the time since. */
  catchUp(): void {
    const { condition } = this;
    const isLinked = condition?.link === 'live';
    if (!isLinked || this.#loop?.generation !== condition.generation) this.stopReading();
    if (isLinked) this.poll();
    else this.concludeExpiry();
  }

  observe(loop: ObservationLoop): Promise<void> {
    if (this.isOver(loop)) return Promise.resolve();
    return this.owner
      .read(this.key)
      .then((observation) => {
        if (this.isOver(loop)) return undefined;
        return this.decode(observation, loop);
      })
      .catch((error: unknown) => {
        // The condition reports failures of the link; any other error means that Redis refuses this very key.
        if (!this.isOver(loop)) this.refuse(error);
      });
  }

  coveredBy(): void {
    this.labels?.covered();
  }

  idle(loop: ObservationLoop): void {
    if (this.#loop !== loop) return;
    this.#loop = undefined;
    this.owner.follower?.idle(this);
  }

  override endPassed(): void {
    // A reading makes Redis drop the expired key for all clients, and shows whether a client has moved the end. Redis may refuse it.
    if (!this.isLinked || this.generation === 0) {
      this.concludeExpiry();
      return;
    }
    // The handles let go now, however long Redis takes.
    this.handles?.stalenessChanged();
    this.read();
  }

  protected get confirmedAt(): number {
    return this.condition?.proof.confirmedAt ?? -Infinity;
  }

  protected now(): number {
    return this.owner.scope.clock.monotonic();
  }

  protected decode(observation: Observation, loop: ObservationLoop): Promise<void> | void {
    const { encoding } = this.owner.scope;
    const decoded = decodeObservation(observation, this.comparable, encoding, this.isOpen);
    return thenSync(decoded, (reading) => {
      if (reading === 'unchanged') this.confirm(observation);
      else if (!this.isOver(loop) && this.apply(observation, reading)) this.#inVain = 0;
    });
  }

  protected observing(): ObservationLoop {
    const generation = this.condition?.generation ?? 0;
    if (this.#loop?.generation !== generation) {
      this.#loop?.stop();
      this.#loop = new ObservationLoop(this.owner.scope.clock, this, generation);
    }
    return this.#loop;
  }

  /** Whether the generation of a loop is over; then the present generation requests the reading. */
  protected isOver(loop: ObservationLoop): boolean {
    if (!loop.isStopped()) this.reportCondition();
    if (loop.isStopped()) return true;
    if (loop.generation === this.condition?.generation) return false;
    this.catchUp();
    return true;
  }

  protected stopReading(): void {
    this.#loop?.stop();
    this.#loop = undefined;
  }
}
