import type { Clock } from '../time/clock.js';
import { withdraws, type CredentialChange } from '../credential/change.js';
import type { AttemptHint, Backend, FeedCondition, Hint } from '../backend/backend.js';
import { withdrawalOf, type CredentialSnapshot, type Withdrawal } from '../credential/snapshot.js';
import { unknown, type CredentialState, type Known, type KnownState } from '../credential/state.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import type { Entry, EntryHandles } from './entry.js';
import { EventSourceBase } from './event-source.js';
import { Freshness, type FreshnessHolder } from './freshness.js';
import type { ServerTime } from '../time/server-time.js';
import type { SharedStoreOptions } from './entry-options.js';
import type { StoreStatus } from '../credential/status.js';
import type { WatchedEntry } from './watched.js';

/** One subscription, as those who open its entries see it. */
export interface Watch<T> {
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  keyOf(id: string): string;
  /** The entry of handles that come. */
  open(handles: OpenEntry<T>): Entry<T>;
  /** Lets an entry that was opened {@link Entry.hear} of its hints from now on. */
  begin(entry: Entry<T>): void;
  /** The handles of an entry go. */
  leave(entry: Entry<T>): void;
  confirmedAt(key: string): number;
  reportClockStep(): void;
}

/** An entry as its handles see it: the value, how far it can be trusted, and the telling of what happens. */
export class OpenEntry<T>
  extends EventSourceBase<T>
  implements WatchedEntry<T>, EntryHandles<T>, FreshnessHolder
{
  readonly id: string;
  readonly #watch: Watch<T>;
  readonly #freshness: Freshness;
  /** While somebody watches. */
  #entry: Entry<T> | undefined;
  /** The clock of the last observation; `undefined` before the first. */
  #time: ServerTime | undefined;
  #emitted: CredentialState<T> = unknown.state;
  ownWrites = 0;

  constructor(id: string, watch: Watch<T>) {
    super();
    this.id = id;
    this.#watch = watch;
    this.#freshness = new Freshness(this);
  }

  get key(): string {
    return this.#entry?.key ?? this.#watch.keyOf(this.id);
  }

  get backend(): Backend {
    return this.#watch.backend;
  }

  get encoding(): Encoding<T> {
    return this.#watch.encoding;
  }

  get options(): SharedStoreOptions<T> {
    return this.#watch.options;
  }

  get clock(): Clock {
    return this.#watch.backend.clock;
  }

  get confirmedAt(): number {
    return this.#watch.confirmedAt(this.key);
  }

  get isFilled(): boolean {
    return this.#time !== undefined;
  }

  get generation(): number {
    return this.isFilled ? (this.#entry?.generation ?? 0) : 0;
  }

  get status(): StoreStatus {
    return this.#freshness.status;
  }

  get known(): Known<T> {
    return this.isFilled ? (this.#entry?.known ?? unknown) : unknown;
  }

  /** What a subscriber that comes now may be told. */
  get state(): CredentialState<T> {
    const { state } = this.known;
    const end = state.type === 'present' ? state.snapshot.expiresAt : undefined;
    const verdict = end === undefined ? 'before' : this.#time?.verdict(end);
    if (this.#freshness.withheld !== undefined || verdict === 'before') return this.#view();
    // Timers can be late; nobody may be handed what has ended meanwhile.
    const since = this.clock.now();
    if (verdict !== 'stepped') return { type: 'withheld', reason: 'ended', since };
    this.#watch.reportClockStep();
    return { type: 'withheld', reason: 'clock', since };
  }

  get current(): CredentialSnapshot<T> | undefined {
    const { state } = this.known;
    if (state.type !== 'present' || this.#freshness.isWithheld()) return undefined;
    const verdict = this.#time?.verdict(state.snapshot.expiresAt);
    if (verdict === 'before') return state.snapshot;
    if (verdict === 'stepped') this.#watch.reportClockStep();
    return undefined;
  }

  refreshed(own?: Hint): Promise<void> {
    const entry = this.#entry;
    if (entry?.isLinked !== true) return Promise.resolve();
    // With a new generation comes another loop.
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
    return state.type === 'present' && state.snapshot === snapshot && !this.#freshness.isWithheld();
  }

  withdrawalOf(name: string): Withdrawal | undefined {
    const { state, digest: known } = this.known;
    return state.type === 'present' && known === name ? withdrawalOf(state.snapshot) : undefined;
  }

  conditionChanged(condition: FeedCondition): void {
    if (this.closed || !this.retained || condition === this.#freshness.condition) return;
    const wasLinked = this.#freshness.isLinked;
    const newGeneration = this.#freshness.conditionChanged(condition);
    if (condition.link !== 'live' || newGeneration || !wasLinked) this.#entry?.catchUp();
    this.#review();
  }

  attempted(hint: AttemptHint): void {
    this.emit(hint);
  }

  observing(time: ServerTime): void {
    this.#time = time;
    this.#freshness.observed();
  }

  observed(before: KnownState<T>, change: CredentialChange<T> | undefined): void {
    this.#review(change);
    if (change === undefined || before.type !== 'present') return;
    if (withdraws(change, this.options.abortOnSaved))
      withdrawalOf(before.snapshot)?.withdraw(change);
  }

  refused(error: unknown): void {
    this.#freshness.refused(error instanceof Error ? error : undefined);
  }

  stalenessChanged(): void {
    this.#review();
  }

  statusChanged(status: StoreStatus): void {
    this.emit({ type: 'status', status });
  }

  protected override start(): void {
    this.#freshness.start();
    if (this.closed) return;
    this.#entry = this.#watch.open(this);
    this.#watch.begin(this.#entry);
  }

  protected override stop(as: 'idle' | 'closed'): void {
    const entry = this.#entry;
    this.#entry = undefined;
    if (entry !== undefined) this.#watch.leave(entry);
    this.#time = undefined;
    this.#emitted = unknown.state;
    this.#freshness.stop(as);
  }

  #view(): CredentialState<T> {
    const { state } = this.known;
    return state.type === 'unknown' ? state : (this.#freshness.withheld ?? state);
  }

  #review(change?: CredentialChange<T>): void {
    this.#freshness.review(this.isFilled);
    const view = this.#view();
    const state = view === this.#emitted ? undefined : view;
    this.#emitted = view;
    if (state !== undefined || change !== undefined) this.emit({ type: 'state', state, change });
  }
}
