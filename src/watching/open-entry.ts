import type { Withdrawal } from '../credential/withdrawal.js';
import type { Clock } from '../time/clock.js';
import type { CredentialChange } from '../credential/change.js';
import type {
  AttemptHint,
  Backend,
  FeedCondition,
  Hint,
  Subscription,
} from '../backend/backend.js';
import { withdrawalOf, type CredentialSnapshot } from '../credential/snapshot.js';
import {
  unknown,
  type CredentialState,
  type Known,
  type WithheldState,
} from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import type { Entry } from './entry/entry.js';
import type { EntryHandles } from './entry/owner.js';
import { endClear, isClear } from './entry/end-clear.js';
import type { HintLabels } from './entry/hint-labels.js';
import { Freshness, wallTime } from './freshness.js';
import type { ServerTime } from '../time/server-time.js';
import type { SharedStoreOptions } from './entry-options.js';
import type { WatchedEntry } from './watched.js';

/**
 * An entry as its handles see it: the value, its freshness, and the events. It holds the entry while it is retained. There are no private
 * methods, because they would cost each credential a field.
 */
export abstract class OpenEntry<T>
  extends Freshness<T>
  implements WatchedEntry<T>, EntryHandles<T>
{
  readonly id: string;
  protected entry: Entry<T> | undefined;
  /** The clock of the last observation; `undefined` before the first. */
  #time: ServerTime | undefined;
  #emitted: CredentialState<T> = unknown.state;
  /**
   * The server's time of the last reading, if that found the key stored. A clear before it has ended, which is said once more when the key is
   * gone: it is not said at a first reading, because very many stores may start at once, and otherwise it may have been said in vain.
   */
  #storedAt: number | undefined;
  ownWrites = 0;

  /** The subscription that the hints of the key come by; `undefined` while there is none. */
  abstract readonly subscription: Subscription | undefined;
  abstract readonly key: string;
  abstract override readonly backend: Backend;
  abstract readonly encoding: Encoding<T>;
  abstract override readonly options: SharedStoreOptions<T>;

  constructor(id: string) {
    super();
    this.id = id;
  }

  /** Starts the watch, and returns the entry of the key. */
  protected abstract enter(): Entry<T>;

  /** Ends the watch: the entry has no handles any longer. */
  protected abstract leave(entry: Entry<T>): void;

  get unexplained(): HintLabels | undefined {
    return this.entry?.labels;
  }

  get isFilled(): boolean {
    return this.#time !== undefined;
  }

  get generation(): number {
    return this.isFilled ? (this.entry?.generation ?? 0) : 0;
  }

  get known(): Known<T> {
    return this.isFilled ? (this.entry?.known ?? unknown) : unknown;
  }

  get state(): CredentialState<T> {
    const { state } = this.known;
    if (state.type === 'unknown' || this.withheld !== undefined) return this.withheld ?? state;
    // Timers can be late, and no subscriber may receive a credential past its end, or one that this process cannot vouch for.
    const at = this.clock.monotonic();
    if (this.isWithheld(at)) return this.withhold();
    const verdict = verdictOf(state, this.#time, at);
    if (verdict === 'before') return state;
    if (verdict === 'passed') return endedState(this.#emitted, this.clock);
    this.subscription?.reportClockStep();
    return { type: 'withheld', reason: 'clock', since: this.clock.now() };
  }

  get current(): CredentialSnapshot<T> | undefined {
    const { state } = this.known;
    if (state.type !== 'present') return undefined;
    const at = this.clock.monotonic();
    if (this.isWithheld(at)) {
      this.withhold();
      return undefined;
    }
    const verdict = this.#time?.verdict(state.snapshot.expiresAt, at);
    if (verdict === 'before') return state.snapshot;
    if (verdict === 'stepped') this.subscription?.reportClockStep();
    return undefined;
  }

  refreshed(own?: Hint): Promise<void> {
    const entry = this.entry;
    if (entry?.isLinked !== true) return Promise.resolve();
    // A new generation has another loop.
    return entry.settled(own).then((made) => (made ? undefined : this.refreshed()));
  }

  at(instant: number, due: () => void): Deadline | undefined {
    return this.#time?.deadlines.add(instant, { due });
  }

  serverNow(): number {
    return this.#time?.latest() ?? this.clock.now();
  }

  holds(snapshot: CredentialSnapshot<T>): boolean {
    const { state } = this.known;
    return (
      state.type === 'present' &&
      state.snapshot === snapshot &&
      !this.isWithheld(this.clock.monotonic())
    );
  }

  withdrawalOf(name: string): Withdrawal | undefined {
    const { state, digest } = this.known;
    return state.type === 'present' && digest === name ? withdrawalOf(state.snapshot) : undefined;
  }

  conditionChanged(condition: FeedCondition): void {
    if (this.closed || !this.retained || condition === this.condition) return;
    // After the gap another server may answer, whose clock may be behind.
    if (condition.generation !== this.condition?.generation) this.#storedAt = undefined;
    if (this.takeCondition(condition)) this.entry?.catchUp();
    this.stalenessChanged();
  }

  attempted(hint: AttemptHint): void {
    this.emit(hint);
  }

  observing(time: ServerTime): void {
    this.#time = time;
    this.takeObservation();
  }

  observed(change: CredentialChange<T> | undefined, readAt: number | undefined): void {
    if (readAt !== undefined) {
      const storedAt = this.#storedAt;
      const isStored = this.known.digest !== undefined;
      this.#storedAt = isStored ? readAt : undefined;
      // A reading that seems to be from before it shows that the server's clock was set back: its times cannot be compared.
      if (!isStored && storedAt !== undefined && storedAt <= readAt && !isClear(change))
        endClear(this.condition, this.backend, this.key, storedAt);
    }
    this.stalenessChanged(change, readAt);
  }

  refused(error: unknown): void {
    this.takeRefusal(error instanceof Error ? error : undefined);
  }

  stalenessChanged(change?: CredentialChange<T>, readAt?: number): void {
    this.judge(this.isFilled);
    const before = this.#emitted;
    const { state: known } = this.known;
    const at = this.clock.monotonic();
    let view: CredentialState<T> = this.withheld ?? known;
    if (view.type !== 'unknown' && view.type !== 'withheld') {
      if (this.isWithheld(at)) view = this.withhold();
      else if (verdictOf(known, this.#time, at) === 'passed')
        view = endedState(this.#emitted, this.clock);
    }
    const state = view === before ? undefined : view;
    this.#emitted = view;
    if (state !== undefined || change !== undefined)
      this.emit({ type: 'state', state, change, readAt });
  }

  /** A read finds the proof too old before any event: the next event tells the listeners that the credential is back, or what has come. */
  protected withhold(): WithheldState {
    if (this.withheld !== undefined) return this.withheld;
    const emitted = this.#emitted;
    if (emitted.type === 'withheld' && emitted.reason === 'stale') return emitted;
    const since = wallTime(this.clock, this.provenAt);
    const state: WithheldState = { type: 'withheld', reason: 'stale', since };
    this.#emitted = state;
    return state;
  }

  protected override start(): void {
    super.start();
    // A subscriber of the first status may have closed the handles, or have closed and opened them.
    if (!this.closed && this.retained && this.entry === undefined) this.entry = this.enter();
  }

  protected override stop(as: 'idle' | 'closed'): void {
    const entry = this.entry;
    this.entry = undefined;
    if (entry !== undefined) this.leave(entry);
    this.#time = undefined;
    this.#emitted = unknown.state;
    this.#storedAt = undefined;
    super.stop(as);
  }
}

function verdictOf(
  state: CredentialState<unknown>,
  time: ServerTime | undefined,
  at: number,
): ReturnType<ServerTime['verdict']> {
  const end = state.type === 'present' ? state.snapshot.expiresAt : undefined;
  return end === undefined ? 'before' : (time?.verdict(end, at) ?? 'before');
}

/** The state past the end until a reading confirms that; the same object for as long as it is emitted. */
function endedState(emitted: CredentialState<unknown>, clock: Clock): WithheldState {
  if (emitted.type === 'withheld' && emitted.reason === 'ended') return emitted;
  return { type: 'withheld', reason: 'ended', since: clock.now() };
}
