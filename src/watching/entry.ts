import type { Clock } from '../time/clock.js';
import { withdraws, type ChangeSource, type CredentialChange } from '../credential/change.js';
import type {
  AttemptHint,
  Backend,
  Hint,
  FeedCondition,
  KeyWatcher,
  Observation,
} from '../backend/backend.js';
import { withdrawalOf, type CredentialSnapshot, type Withdrawal } from '../credential/snapshot.js';
import {
  nextDeadline,
  noLabels,
  unknown,
  type Circumstances,
  type CredentialState,
  type Known,
  type DecodedReading,
  type Step,
} from '../credential/state.js';
import { concludeExpiry, transition } from '../credential/transition.js';
import type { Deadline } from '../time/deadlines.js';
import type { Encoding } from '../credential/encoding.js';
import { EndAlarm, type EndAlarmHolder } from '../time/end-alarm.js';
import { EventSourceBase } from './event-source.js';
import { Freshness, type FreshnessHolder } from './freshness.js';
import { HintLabels } from './hint-labels.js';
import { ObservationLoop, type Observer } from './observation-loop.js';
import type { ServerTime } from '../time/server-time.js';
import { decodeObservation } from './decode-observation.js';
import type { SharedStoreOptions } from './entry-options.js';
import type { StoreStatus } from '../credential/status.js';
import { thenSync } from '../time/timers.js';
import type { WatchedEntry } from './watched.js';

/**
 * One watched credential: hints come in, observations are made and applied in order, facts go out.
 * What arrives after the {@link ObservationLoop} of its generation was stopped is dropped.
 */
export class Entry<T>
  extends EventSourceBase<T>
  implements WatchedEntry<T>, KeyWatcher, Observer, FreshnessHolder, EndAlarmHolder
{
  readonly id: string;
  readonly key: string;
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly options: SharedStoreOptions<T>;
  readonly #freshness: Freshness;
  #known: Known<T> = unknown;
  #time: ServerTime | undefined;
  #emitted: CredentialState<T> = unknown.state;
  // Made when there is something for them to do, because most of thousands of credentials rest most of the time.
  #loop: ObservationLoop | undefined;
  #labels: HintLabels | undefined;
  #alarm: EndAlarm | undefined;
  /** How many writes of this process are under way. */
  ownWrites = 0;

  /** @param key - where it lies in the backend; `id` is what the outside calls it */
  constructor(
    id: string,
    key: string,
    options: SharedStoreOptions<T>,
    backend: Backend,
    encoding: Encoding<T>,
  ) {
    super();
    this.id = id;
    this.key = key;
    this.backend = backend;
    this.encoding = encoding;
    this.options = options;
    this.#freshness = new Freshness(this);
  }

  get clock(): Clock {
    return this.backend.clock;
  }

  get confirmedAt(): number {
    return this.backend.hints.confirmedAt(this.key);
  }

  get status(): StoreStatus {
    return this.#freshness.status;
  }

  /** What a subscriber that comes now may be told. */
  get state(): CredentialState<T> {
    const { state } = this.#known;
    const end = state.type === 'present' ? state.snapshot.expiresAt : undefined;
    const verdict = end === undefined ? 'before' : this.#time?.verdict(end);
    if (this.#freshness.withheld !== undefined || verdict === 'before') return this.#view();
    // Timers can be late; nobody may be handed what has ended meanwhile.
    const since = this.clock.now();
    if (verdict !== 'stepped') return { type: 'withheld', reason: 'ended', since };
    this.backend.hints.reportClockStep();
    return { type: 'withheld', reason: 'clock', since };
  }

  get current(): CredentialSnapshot<T> | undefined {
    const { state } = this.#known;
    if (state.type !== 'present' || this.#freshness.isWithheld()) return undefined;
    const verdict = this.#time?.verdict(state.snapshot.expiresAt);
    if (verdict === 'before') return state.snapshot;
    if (verdict === 'stepped') this.backend.hints.reportClockStep();
    return undefined;
  }

  /** Resolves when an observation issued from now on has been applied, or at once when there is no live feed. */
  refreshed(own?: Hint): Promise<void> {
    if (!this.#freshness.isLinked) return Promise.resolve();
    const settled = this.#observing().settled();
    // Not before: an observation that is under way does not explain it.
    if (own !== undefined) this.#noting().noteAnswer(own);
    // With a new generation comes another loop.
    return settled.then((made) => (made ? undefined : this.refreshed()));
  }

  /** Calls `due` when the server's clock has reached `instant` for certain; nothing before the first observation. */
  at(instant: number, due: () => void): Deadline | undefined {
    return this.#time?.deadlines.add(instant, { due });
  }

  /** The server's clock as far as it is known, at its latest; this machine's before the first observation. */
  serverNow(): number {
    return this.#time?.latest() ?? this.clock.now();
  }

  /** What the next observation is compared with. */
  get known(): Known<T> {
    return this.#known;
  }

  /** Whether this very snapshot is what is known and may be shown; it may be just past its end. */
  holds(snapshot: CredentialSnapshot<T>): boolean {
    const { state } = this.#known;
    return state.type === 'present' && state.snapshot === snapshot && !this.#freshness.isWithheld();
  }

  /** The withdrawal that a snapshot of these bytes shares with the watched one. */
  withdrawalOf(name: string): Withdrawal | undefined {
    const { state, digest: known } = this.#known;
    return state.type === 'present' && known === name ? withdrawalOf(state.snapshot) : undefined;
  }

  hint(hint: Hint | AttemptHint): void {
    if (hint.type === 'attempt') {
      this.emit(hint);
      return;
    }
    this.#noting().note(hint);
    if (!this.#freshness.isLinked) return;
    // The hints of an own write arrive a moment before its reply, after which this must be observed; a turn later once is enough.
    if (this.ownWrites > 0) this.#observing().request();
    else this.#observing().requestNow();
  }

  poll(): boolean {
    if (!this.#freshness.isLinked || this.#loop?.busy === true) return false;
    this.#observing().request();
    return true;
  }

  conditionChanged(feed: FeedCondition): void {
    if (this.closed || !this.retained) return;
    const wasLinked = this.#freshness.isLinked;
    const newGeneration = this.#freshness.conditionChanged(feed);
    const goesLive = feed.link === 'live' && (newGeneration || !wasLinked);
    if (goesLive || feed.link !== 'live') this.#stopObserving();
    if (goesLive) this.#observing().request();
    else if (feed.link !== 'live') this.#concludeExpiry();
    this.#review();
  }

  stalenessChanged(): void {
    this.#review();
  }

  statusChanged(status: StoreStatus): void {
    this.emit({ type: 'status', status });
  }

  protected override start(): void {
    this.#freshness.start();
    if (!this.closed) this.backend.hints.watch(this.key, this);
  }

  protected override stop(as: 'idle' | 'closed'): void {
    this.#stopObserving();
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.backend.hints.unwatch(this.key, this);
    this.#known = unknown;
    this.#time = undefined;
    this.#emitted = unknown.state;
    this.#freshness.stop(as);
  }

  #observing(): ObservationLoop {
    return (this.#loop ??= new ObservationLoop(this.clock, this));
  }

  #stopObserving(): void {
    this.#loop?.stop();
    this.#loop = undefined;
  }

  idle(loop: ObservationLoop): void {
    if (this.#loop === loop) this.#loop = undefined;
  }

  observe(loop: ObservationLoop): Promise<void> {
    return this.backend.hints
      .read(this.key, this.options.maxBytes)
      .then((observation) => {
        if (loop.isStopped()) return undefined;
        return thenSync(decodeObservation(observation, this.#known, this.encoding), (sighting) => {
          if (!loop.isStopped()) this.#apply(observation, sighting);
        });
      })
      .catch((error: unknown) => {
        // The link tells of its own failures; what is left is Redis refusing this very key.
        if (loop.isStopped()) return;
        this.#freshness.refused(error instanceof Error ? error : undefined);
        this.#concludeExpiry();
        this.#review();
      });
  }

  coveredBy(): void {
    this.#labels?.covered();
  }

  #apply(observation: Observation, sighting: DecodedReading<T>): void {
    const { time, serverNow, toleranceMs } = observation;
    const now = Math.max(serverNow, time.earliest());
    const labels = this.#labels?.read();
    const when = this.#when(now, this.#freshness.source, toleranceMs, labels);
    this.#time = time;
    this.#labels?.used();
    if (this.ownWrites === 0 && this.#labels?.empty) this.#labels = undefined;
    this.#freshness.observed();
    this.#take(transition(this.#known, sighting, when), now);
  }

  /** Cut off from Redis, an end that has passed is all that can be concluded. */
  #concludeExpiry(): void {
    const now = this.#time?.earliest() ?? -Infinity;
    this.#take(concludeExpiry(this.#known, this.#when(now, 'local')), now);
  }

  /** @param now - by which it was judged; a moment later an end may have passed */
  #take({ known, change }: Step<T>, now: number): void {
    const before = this.#known.state;
    this.#known = known;
    this.#awaitEnd(nextDeadline(known, now));
    this.#review(change);
    if (change === undefined || before.type !== 'present') return;
    if (withdraws(change, this.options.abortOnSaved))
      withdrawalOf(before.snapshot)?.withdraw(change);
  }

  endPassed(): void {
    // Reading makes Redis drop an expired key for everybody, and shows whether somebody moved the end meanwhile.
    if (this.#freshness.isLinked && !this.#freshness.isRefused) this.#observing().request();
    else this.#concludeExpiry();
  }

  #awaitEnd(end: number | undefined): void {
    if (end === undefined || this.#time === undefined) this.#alarm?.cancel();
    else (this.#alarm ??= new EndAlarm(this)).set(this.#time, end);
  }

  #noting(): HintLabels {
    return (this.#labels ??= new HintLabels());
  }

  #when(now: number, source: ChangeSource, toleranceMs = 0, labels = noLabels): Circumstances {
    const { abortOnSaved } = this.options;
    return { id: this.id, now, source, toleranceMs, labels, abortOnSaved };
  }

  #view(): CredentialState<T> {
    return this.#known.state.type === 'unknown'
      ? this.#known.state
      : (this.#freshness.withheld ?? this.#known.state);
  }

  #review(change?: CredentialChange<T>): void {
    this.#freshness.review(this.#known.state.type !== 'unknown');
    const view = this.#view();
    const state = view === this.#emitted ? undefined : view;
    this.#emitted = view;
    if (state !== undefined || change !== undefined) this.emit({ type: 'state', state, change });
  }
}
