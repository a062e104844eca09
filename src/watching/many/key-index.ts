import type { Clock } from '../../time/clock.js';
import type {
  AttemptHint,
  Backend,
  Hint,
  FeedCondition,
  Observation,
} from '../../backend/backend.js';
import type { ChangeSource, CredentialChange } from '../../credential/change.js';
import type { Encoding } from '../../credential/encoding.js';
import { EventSourceBase, type WatchEvent } from '../event-source.js';
import {
  idleStatus,
  isSameStatus,
  type LinkStatus,
  type StoreStatus,
} from '../../credential/status.js';
import type { PrefixFeed, Tracker } from './prefix-feed.js';
import type { ReadBatcher } from './read-batcher.js';
import { TimeSlicer } from './yielding.js';
import type { Entry } from '../entry.js';
import { KeyScan, type ScanTask } from './key-scan.js';
import { RefusedError } from '../../errors.js';
import { TrackedCredential, type TrackedOwner } from './index-entry.js';

/** Hints for ids that nobody knows may come without end; beyond so many, one scan finds those that are there. */
const MOST_NEWCOMERS = 10_000;

/** A credential that is watched, as far as tracking asks. */
export type WatchedAt<T> = Pick<Entry<T>, 'key' | 'known' | 'serverNow'>;

export interface TrackingContext<T> {
  readonly backend: Backend;
  readonly encoding: Encoding<T>;
  readonly feed: PrefixFeed;
  readonly looks: ReadBatcher;
  /** That of the machine, and the directory's own. */
  readonly clocks: { readonly machine: Clock; readonly paced: Clock };
  readonly prefix: string;
  /** The id that lies at a key; `undefined` for a key that no id leads to. */
  idAt(key: string): string | undefined;
  /** What is watched at a key. */
  watchedAt(key: string): WatchedAt<T> | undefined;
}

/** Tells what happens to every credential under a prefix, also to those that nobody watches, for as long as somebody wants to know. */
export class Tracking<T> extends EventSourceBase<T> implements Tracker, TrackedOwner<T> {
  readonly #context: TrackingContext<T>;
  readonly #tracked = new Map<string, TrackedCredential<T>>();
  readonly #scan: KeyScan;
  #condition: FeedCondition | undefined;
  /** Counts the times when everything had to be looked at because hints may have been missed. */
  generation = 0;
  /** How many have not been looked at in this round. */
  #pending = 0;
  #scanned = false;
  /** Everything was known once. */
  #complete = false;
  #unconfirmed = 0;
  #failure: Error | undefined;
  #staleSince: number | undefined;
  #status: StoreStatus = idleStatus;

  constructor(context: TrackingContext<T>) {
    super();
    this.#context = context;
    const { backend, clocks, looks, prefix } = context;
    this.#scan = new KeyScan(
      backend,
      prefix,
      clocks.paced,
      () => new TimeSlicer(clocks.machine, looks),
      {
        known: () => this.#tracked.keys(),
        found: (key, task) => {
          this.#found(key, task);
        },
        done: (task) => {
          this.#swept(task);
        },
        failed: (error) => {
          this.#failure = error;
          this.#review();
        },
      },
    );
  }

  get status(): StoreStatus {
    return this.#status;
  }

  get clock(): Clock {
    return this.#context.clocks.paced;
  }

  get encoding(): Encoding<T> {
    return this.#context.encoding;
  }

  isLinkedAt(key: string): boolean {
    return this.#context.feed.isLinkedAt(key);
  }

  get isLinked(): boolean {
    return this.#condition?.link === 'live';
  }

  get size(): number {
    return this.#tracked.size;
  }

  get keys(): Iterable<string> {
    return this.#tracked.keys();
  }

  /** Nothing has been missed, and everything was looked at since that could have been. */
  get #caughtUp(): boolean {
    return this.isLinked && this.#scanned && this.#pending === 0;
  }

  idOf(key: string): string {
    return this.#context.idAt(key) ?? '';
  }

  sourceFor(tracked: TrackedCredential<T>): ChangeSource {
    return tracked.generation === this.generation ? 'live' : 'resync';
  }

  observe(key: string): Promise<Observation> {
    return this.#context.looks.read(key);
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    if (hint.type === 'attempt' || !this.isLinkedAt(key)) return;
    let tracked = this.#tracked.get(key);
    if (tracked === undefined) {
      if (this.#unconfirmed >= MOST_NEWCOMERS) {
        this.#scan.ask('unknown');
        return;
      }
      tracked = this.#add(key);
    }
    tracked?.hint(hint);
  }

  feed(feed: FeedCondition): void {
    const before = this.#condition;
    this.#condition = feed;
    if (feed.link !== 'live') {
      if (before?.link === 'live') this.#startResync();
      this.#scan.stop();
    } else if (before?.link !== 'live' || before.generation !== feed.generation) {
      this.#startResync();
      this.#scan.ask('resync');
    }
    this.#review();
  }

  look(key: string): void {
    this.#tracked.get(key)?.read();
  }

  lookAtAll(): void {
    if (this.isLinked) this.#scan.ask('all');
  }

  opened(key: string): void {
    const tracked = this.#tracked.get(key) ?? this.#add(key);
    if (tracked === undefined) return;
    tracked.leave();
    this.#catchUp(tracked);
    this.#recount(tracked);
  }

  left(key: string): void {
    const tracked = this.#tracked.get(key);
    const watched = this.#context.watchedAt(key);
    if (tracked === undefined || watched === undefined) return;
    if (tracked.generation !== this.generation) this.#pending += 1;
    tracked.resume(watched.known);
    this.#recount(tracked);
    this.rested(tracked);
  }

  /** Something happened to a credential that is watched. */
  told(watched: WatchedAt<T>, event: WatchEvent<T>): void {
    if (!this.retained || this.closed || event.type !== 'state') return;
    const tracked = this.#tracked.get(watched.key);
    const { state, change } = event;
    if (state !== undefined && state.type !== 'unknown' && state.type !== 'withheld')
      this.#emitChange(tracked?.join(watched.known, watched.serverNow()));
    if (change !== undefined) this.#emitChange(tracked?.relayed(change) ?? change);
  }

  seen(tracked: TrackedCredential<T>, generation: number, change?: CredentialChange<T>): void {
    if (generation === this.generation) this.#catchUp(tracked);
    this.#recount(tracked);
    this.#emitChange(change);
  }

  failed(tracked: TrackedCredential<T>, generation: number): void {
    // With a link that is lost everything will be looked at again.
    if (this.isLinked && generation === this.generation) this.#catchUp(tracked);
  }

  rested(tracked: TrackedCredential<T>): void {
    if (tracked.isStored || !tracked.isResting || this.#tracked.get(tracked.key) !== tracked)
      return;
    this.#tracked.delete(tracked.key);
    tracked.stop();
    this.#catchUp(tracked);
    if (tracked.isUnconfirmed) this.#unconfirmed -= 1;
  }

  protected override start(): void {
    this.#publish({ ...idleStatus, link: 'connecting' });
    if (!this.closed) this.#context.feed.track(this);
  }

  protected override stop(as: 'idle' | 'closed'): void {
    this.#context.feed.track(undefined);
    this.#scan.stop();
    for (const tracked of this.#tracked.values()) tracked.stop();
    this.#tracked.clear();
    this.#condition = undefined;
    this.#scanned = false;
    this.#complete = false;
    this.#pending = 0;
    this.#unconfirmed = 0;
    this.#failure = undefined;
    this.#staleSince = undefined;
    this.#publish(as === 'idle' ? idleStatus : { ...idleStatus, link: as });
  }

  #emitChange(change: CredentialChange<T> | undefined): void {
    if (change !== undefined) this.emit({ type: 'state', state: undefined, change });
  }

  #add(key: string): TrackedCredential<T> | undefined {
    if (this.#context.idAt(key) === undefined) return undefined;
    const type = this.#complete ? 'absent' : 'unknown';
    // While catching up, nobody can tell what was missed from what happens now.
    const round = this.#caughtUp ? this.generation : this.generation - 1;
    const tracked = new TrackedCredential<T>(key, type, round, this);
    this.#tracked.set(key, tracked);
    if (round !== this.generation) this.#pending += 1;
    this.#recount(tracked);
    return tracked;
  }

  #found(key: string, task: ScanTask): void {
    let tracked = this.#tracked.get(key);
    if (tracked === undefined) tracked = this.#add(key);
    else if (task === 'unknown') return;
    tracked?.read();
  }

  #startResync(): void {
    this.generation += 1;
    this.#scanned = false;
    this.#staleSince ??= this.#wall();
    this.#pending = 0;
    for (const tracked of this.#tracked.values()) if (!tracked.isWatched) this.#pending += 1;
  }

  #catchUp(tracked: TrackedCredential<T>): void {
    if (tracked.generation === this.generation) return;
    tracked.generation = this.generation;
    this.#pending -= 1;
    this.#review();
  }

  #swept(task: ScanTask): void {
    this.#failure = undefined;
    if (task !== 'unknown') this.#scanned = true;
    this.#review();
  }

  #recount(tracked: TrackedCredential<T>): void {
    const isNewcomer = !tracked.isStored && !tracked.isWatched;
    if (isNewcomer === tracked.isUnconfirmed) return;
    tracked.isUnconfirmed = isNewcomer;
    this.#unconfirmed += isNewcomer ? 1 : -1;
  }

  #review(): void {
    const condition = this.#condition;
    if (condition === undefined || !this.retained || this.closed) return;
    if (this.#caughtUp) {
      this.#complete = true;
      this.#staleSince = undefined;
      this.#publish(condition.fresh);
      return;
    }
    const staleSince = this.#complete ? this.#staleSince : undefined;
    this.#publish(statusBehind(condition, this.#complete, staleSince, this.#failure));
  }

  #publish(status: StoreStatus): void {
    if (isSameStatus(status, this.#status)) return;
    this.#status = status;
    this.emit({ type: 'status', status });
  }

  /** Up to when nothing was missed, by the wall clock. */
  #wall(): number {
    const { backend, clocks, prefix } = this.#context;
    const { machine } = clocks;
    return Math.round(machine.now() - (machine.monotonic() - backend.hints.confirmedAt(prefix)));
  }
}

/**
 * The status while not everything is known, or not any longer.
 *
 * @param complete - whether everything was known once
 * @param failure - why not everything could be listed; an interruption passes, and is no refusal
 */
export function statusBehind(
  { link, fresh, error }: FeedCondition,
  complete: boolean,
  staleSince: number | undefined,
  failure: Error | undefined,
): StoreStatus {
  const catchingUp: LinkStatus = complete ? 'reconnecting' : 'connecting';
  const whileLinked = failure instanceof RefusedError ? 'unauthorized' : catchingUp;
  return {
    ...fresh,
    link: link === 'live' ? whileLinked : link,
    freshness: complete ? 'stale' : 'unknown',
    staleSince,
    maxLagMs: undefined,
    error: failure ?? error,
  };
}
