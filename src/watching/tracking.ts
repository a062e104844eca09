import { servingLimitMs, type Backend, type FeedCondition, type Hint } from '../backend/backend.js';
import type { CredentialChange } from '../credential/change.js';
import type { Entry } from './entry/entry.js';
import type { FollowedEntry } from './entry/owner.js';
import { EventSourceBase } from './event-source.js';
import {
  idleStatus,
  isSameStatus,
  startingStatus,
  type LinkStatus,
  type StoreStatus,
} from '../credential/status.js';
import type { PrefixFollower, PrefixWatch } from './prefix-watch.js';
import type { ReadBatcher } from './read-batcher.js';
import { TimeSlicer } from '../time/slicing.js';
import type { ScanTask } from './key-scan.js';
import { KeySweep } from './key-sweep.js';
import { RefusedError } from '../errors.js';

/** Hints for unknown ids may come without end; beyond this number, one scan finds the stored keys. */
const MOST_UNCONFIRMED = 10_000;

/** A hint that was dropped, as far as is known of it. */
const DROPPED_HINT: Hint = { type: 'written', origin: 'unknown', reason: undefined };

export interface TrackingContext<T> {
  readonly backend: Backend;
  readonly watch: PrefixWatch<T>;
  readonly reads: ReadBatcher;
  /** Whether an id leads to a key. */
  isKeyOfId(key: string): boolean;
}

/** Emits the changes of every credential under a prefix, watched or not, while it is retained. */
export class Tracking<T> extends EventSourceBase<T> implements PrefixFollower<T> {
  readonly #context: TrackingContext<T>;
  readonly #scan: KeySweep;
  #condition: FeedCondition | undefined;
  /** The entries that must be read before all credentials are known. */
  readonly #awaited = new Set<FollowedEntry>();
  /** The entries that only a hint has made: as far as is known, nothing is stored there. */
  readonly #unconfirmed = new Set<FollowedEntry>();
  #scanned = false;
  /** All credentials were known once. */
  #complete = false;
  #failure: Error | undefined;
  #staleSince: number | undefined;
  #status: StoreStatus = idleStatus;

  constructor(context: TrackingContext<T>) {
    super();
    this.#context = context;
    const { backend, reads, watch } = context;
    this.#scan = new KeySweep(
      backend,
      watch.prefix,
      watch.scope.clock,
      () => new TimeSlicer(backend.clock, reads),
      {
        known: () => watch.keys,
        found: (key, task) => {
          this.#found(key, task);
        },
        done: (task) => {
          this.#failure = undefined;
          if (task === 'resync' || task === 'all') this.#scanned = true;
          this.#review();
        },
        failed: (error) => {
          this.#failure = error;
          this.#review();
        },
      },
    );
  }

  get status(): StoreStatus {
    return this.#condition?.views.of(this.#status) ?? this.#status;
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  get isCaughtUp(): boolean {
    return this.#condition?.link === 'live' && this.#scanned && this.#awaited.size === 0;
  }

  conditionChanged(condition: FeedCondition): void {
    const before = this.#condition;
    this.#condition = condition;
    if (condition.link !== 'live') {
      if (before?.link === 'live') this.#startResync();
      this.#scan.stop();
    } else if (before?.link !== 'live' || before.generation !== condition.generation) {
      this.#startResync();
      this.#scan.request('resync');
    }
    if (condition.link === 'live') this.#scan.repeat(condition.sweepMs);
    this.#review();
  }

  enter(key: string): Entry<T> | undefined {
    const { watch } = this.#context;
    if (!this.#context.isKeyOfId(key)) return undefined;
    if (this.#unconfirmed.size >= MOST_UNCONFIRMED) {
      this.#scan.request('dropped');
      return undefined;
    }
    const entry = watch.add(key);
    this.#unconfirmed.add(entry);
    return entry;
  }

  added(entry: FollowedEntry): void {
    if (!entry.isCaughtUp) this.#awaited.add(entry);
  }

  removed(entry: FollowedEntry): void {
    this.#unconfirmed.delete(entry);
    this.#settled(entry);
  }

  observed(entry: FollowedEntry): void {
    if (entry.isStored) this.#unconfirmed.delete(entry);
    this.#settled(entry);
  }

  refused(entry: FollowedEntry): void {
    // After a lost link all keys are read again.
    if (this.#condition?.link === 'live') this.#settled(entry);
  }

  changed(change: CredentialChange<T>): void {
    this.emit({ type: 'state', state: undefined, change });
  }

  idle(entry: FollowedEntry): void {
    if (!entry.isStored && !entry.isOpen) this.#context.watch.remove(entry);
  }

  pollAll(): void {
    if (this.#condition?.link === 'live') this.#scan.request('all');
  }

  protected override start(): void {
    this.#publish(startingStatus);
    if (!this.closed) this.#context.watch.follow(this);
  }

  protected override stop(as: 'idle' | 'closed'): void {
    this.#context.watch.follow(undefined);
    this.#scan.stop();
    this.#awaited.clear();
    this.#unconfirmed.clear();
    this.#condition = undefined;
    this.#scanned = false;
    this.#complete = false;
    this.#failure = undefined;
    this.#staleSince = undefined;
    this.#publish(as === 'idle' ? idleStatus : { ...idleStatus, link: as });
  }

  #found(key: string, task: ScanTask): void {
    const { watch } = this.#context;
    const entry = watch.get(key);
    if (entry === undefined) {
      if (!this.#context.isKeyOfId(key)) return;
      const added = watch.add(key);
      if (task === 'dropped') added.hint(DROPPED_HINT);
      else added.read();
    } else if (task === 'all') {
      // The watch polls open entries anyway.
      if (!entry.isOpen) entry.read();
    } else if (task === 'resync' && !entry.isCaughtUp) {
      this.#awaited.add(entry);
      entry.read();
    }
  }

  #startResync(): void {
    this.#scanned = false;
    if (this.#staleSince === undefined) {
      const { backend, watch } = this.#context;
      const { clock } = backend;
      const monotonic = clock.monotonic();
      const behindMs = monotonic - (watch.subscription?.confirmedAt() ?? monotonic);
      // The instant up to which no hint was missed, by the wall clock.
      this.#staleSince = Math.round(clock.now() - behindMs);
    }
    this.#awaited.clear();
  }

  #settled(entry: FollowedEntry): void {
    if (this.#awaited.delete(entry) && this.#awaited.size === 0) this.#review();
  }

  #review(): void {
    const condition = this.#condition;
    if (condition === undefined || !this.retained || this.closed) return;
    const { maxStalenessMs } = this.#context.watch;
    const status = condition.fresh(servingLimitMs(condition, maxStalenessMs));
    const maxLagMs =
      status.maxLagMs === undefined
        ? undefined
        : this.#scan.lagMs(condition, this.#context.backend.replyTimeoutMs);
    const fresh = maxLagMs === status.maxLagMs ? status : { ...status, maxLagMs };
    if (this.isCaughtUp) {
      this.#complete = true;
      this.#staleSince = undefined;
      this.#publish(fresh);
      return;
    }
    const staleSince = this.#complete ? this.#staleSince : undefined;
    this.#publish(statusBehind(condition, fresh, this.#complete, staleSince, this.#failure));
  }

  #publish(status: StoreStatus): void {
    if (isSameStatus(status, this.#status)) return;
    this.#status = status;
    this.emit({ type: 'status', status: this.status });
  }
}

/**
 * The status while not all credentials are known, or no longer.
 *
 * @param fresh - the status of a store that is up to date
 * @param complete - whether all credentials were known once
 * @param failure - why the keys could not be listed; a mere interruption is no failure
 */
export function statusBehind(
  { link, error }: Pick<FeedCondition, 'link' | 'error'>,
  fresh: StoreStatus,
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
