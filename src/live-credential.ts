import type { Observable } from 'rxjs';
import type { ChangeSource, CredentialChange } from './credential-change.js';
import { withdraws } from './credential-change.js';
import type {
  AttemptHint,
  CredentialBackend,
  Hint,
  KeyFeed,
  KeyWatcher,
  Observation,
} from './credential-backend.js';
import { withdrawalOf, type CredentialSnapshot, type Withdrawal } from './credential-snapshot.js';
import {
  endOf,
  noLabels,
  unknown,
  type Circumstances,
  type CredentialState,
  type Known,
  type Sighting,
  type Step,
} from './credential-state.js';
import { concludeExpiry, transition } from './credential-transition.js';
import type { Deadline } from './deadlines.js';
import type { Encoding } from './encoding.js';
import { EndAlarm, type EndAlarmHolder } from './end-alarm.js';
import { FactTeller, type Fact } from './fact-teller.js';
import { Freshness, type FreshnessHolder } from './freshness.js';
import { HintLabels } from './hint-labels.js';
import { ObservationLoop, type Observer } from './observation-loop.js';
import type { ServerTime } from './server-time.js';
import { sight } from './sight.js';
import type { SharedStoreOptions } from './store-options.js';
import type { StoreStatus } from './store-status.js';

export type LiveCredentialOptions = Pick<
  SharedStoreOptions<unknown>,
  'maxBytes' | 'abortOnSaved' | 'maxStalenessMs'
>;

/**
 * One watched credential: hints come in, observations are made and applied in order, facts go out.
 * What arrives after the {@link ObservationLoop} of its generation was stopped is dropped.
 */
export class LiveCredential<T> implements KeyWatcher, Observer, FreshnessHolder, EndAlarmHolder {
  readonly id: string;
  readonly key: string;
  readonly backend: CredentialBackend;
  readonly encoding: Encoding<T>;
  readonly #options: LiveCredentialOptions;
  readonly #freshness: Freshness;
  readonly #facts = new FactTeller<T>();
  readonly #labels = new HintLabels();
  readonly #alarm: EndAlarm = new EndAlarm(this);
  #known: Known<T> = unknown;
  #watchers = 0;
  #pinned = false;
  #loop: ObservationLoop | undefined;
  #time: ServerTime | undefined;
  #told: CredentialState<T> = unknown.state;
  #closed = false;

  /** @param key - where it lies in the backend; `id` is what the outside calls it */
  constructor(
    id: string,
    key: string,
    options: LiveCredentialOptions,
    backend: CredentialBackend,
    encoding: Encoding<T>,
  ) {
    this.id = id;
    this.key = key;
    this.backend = backend;
    this.encoding = encoding;
    this.#options = options;
    this.#freshness = new Freshness(backend.clock, options.maxStalenessMs, this);
  }

  /** What happens, in order; completes on `close()`. */
  get facts$(): Observable<Fact<T>> {
    return this.#facts.facts$;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get vouchedAt(): number {
    return this.backend.hints.vouchedAt();
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
    const since = this.backend.clock.now();
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

  /** Starts watching, or goes on, until `close()`. */
  pin(): void {
    if (this.#pinned || this.#closed) return;
    this.#pinned = true;
    this.#enter();
  }

  /** Starts watching for the first caller and stops with the last; returns what lets go, which may be called twice. */
  retain(): () => void {
    if (this.#closed) return () => undefined;
    this.#enter();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#watchers -= 1;
      if (this.#watchers === 0 && !this.#closed) this.#stop('idle');
    };
  }

  /** Resolves when an observation issued from now on has been applied, or at once when there is no live feed. */
  refreshed(own?: Hint): Promise<void> {
    if (this.#loop === undefined) return Promise.resolve();
    if (own !== undefined) this.#labels.note(own);
    return this.#loop.settled();
  }

  /** Calls `due` when the server's clock has reached `instant` for certain; nothing before the first observation. */
  at(instant: number, due: () => void): Deadline | undefined {
    return this.#time?.deadlines.add(instant, { due });
  }

  /** The server's clock as far as it is known, at its latest; this machine's before the first observation. */
  serverNow(): number {
    return this.#time?.latest() ?? this.backend.clock.now();
  }

  /** Whether the bytes of an expired credential are gone too. */
  get bytesGone(): boolean {
    return this.#known.state.type === 'expired' && this.#known.digest === undefined;
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

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop('closed');
    this.#facts.complete();
  }

  hint(hint: Hint | AttemptHint): void {
    if (hint.type === 'attempt') {
      this.#facts.tell(hint);
      return;
    }
    this.#labels.note(hint);
    this.#loop?.mark();
  }

  poll(): boolean {
    if (this.#loop === undefined || this.#loop.busy) return false;
    this.#loop.mark();
    return true;
  }

  feed(feed: KeyFeed): void {
    if (this.#closed || this.#watchers === 0) return;
    const newGeneration = this.#freshness.feed(feed);
    if (feed.link !== 'live') {
      this.#loop?.stop();
      this.#loop = undefined;
      this.#concludeExpiry();
    } else if (newGeneration || this.#loop === undefined) {
      this.#loop?.stop();
      this.#loop = new ObservationLoop(this.backend.clock, this);
      this.#loop.mark();
    }
    this.#review();
  }

  stalenessChanged(): void {
    this.#review();
  }

  statusChanged(status: StoreStatus): void {
    this.#facts.tell({ type: 'status', status });
  }

  #enter(): void {
    this.#watchers += 1;
    if (this.#watchers === 1) this.#start();
  }

  #start(): void {
    this.#freshness.start();
    if (this.#closed) return;
    this.backend.hints.watch(this.key, this);
  }

  #stop(link: 'idle' | 'closed'): void {
    this.#loop?.stop();
    this.#loop = undefined;
    this.#alarm.cancel();
    this.backend.hints.unwatch(this.key, this);
    this.#known = unknown;
    this.#time = undefined;
    this.#told = unknown.state;
    this.#freshness.stop(link);
  }

  async observe(loop: ObservationLoop): Promise<void> {
    const issuedAt = this.#labels.count;
    try {
      const observation = await this.backend.hints.observe(this.key, this.#options.maxBytes);
      if (loop.isStopped()) return;
      const sighting = await sight(observation, this.#known, this.encoding);
      if (loop.isStopped()) return;
      this.#apply(observation, sighting, issuedAt);
    } catch (error) {
      // The link tells of its own failures; what is left is Redis refusing this very key.
      if (loop.isStopped()) return;
      this.#freshness.refused(error instanceof Error ? error : undefined);
      this.#concludeExpiry();
      this.#review();
    }
  }

  #apply(observation: Observation, sighting: Sighting<T>, issuedAt: number): void {
    const { time, serverNow, toleranceMs } = observation;
    const now = Math.max(serverNow, time.earliest());
    const when = this.#circumstances(now, this.#freshness.source, toleranceMs, this.#labels.read());
    this.#time = time;
    this.#labels.used(issuedAt);
    this.#freshness.observed();
    this.#take(transition(this.#known, sighting, when));
  }

  /** Cut off from Redis, an end that has passed is all that can be concluded. */
  #concludeExpiry(): void {
    const now = this.#time?.earliest() ?? -Infinity;
    this.#take(concludeExpiry(this.#known, this.#circumstances(now, 'local')));
  }

  #take({ known, change }: Step<T>): void {
    const before = this.#known.state;
    this.#known = known;
    this.#alarm.set(this.#time, endOf(known));
    this.#review(change);
    if (change === undefined || before.type !== 'present') return;
    const replaced = change.type === 'saved' && this.#options.abortOnSaved;
    if (replaced || withdraws(change)) withdrawalOf(before.snapshot)?.withdraw(change);
  }

  endPassed(): void {
    // Reading makes Redis drop an expired key for everybody, and shows whether somebody moved the end meanwhile.
    if (this.#loop !== undefined && !this.#freshness.isRefused) this.#loop.mark();
    else this.#concludeExpiry();
  }

  #circumstances(
    now: number,
    source: ChangeSource,
    toleranceMs = 0,
    labels = noLabels,
  ): Circumstances {
    const { abortOnSaved } = this.#options;
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
    const told = this.#told;
    this.#told = view;
    if (view !== told) this.#facts.tell({ type: 'state', state: view });
    if (change !== undefined) this.#facts.tell({ type: 'change', change });
  }
}
