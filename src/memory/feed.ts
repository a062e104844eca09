import {
  createFeedCondition,
  type AttemptHint,
  type Hint,
  type FeedCondition,
  type KeyWatcher,
  type PrefixWatcher,
} from '../backend/backend.js';
import { OptionSharing } from '../util/option-sharing.js';
import { ServerTime } from '../time/server-time.js';
import type { CredentialMemory, MemoryClient } from './credential-memory.js';

/** A store as its feed sees it. */
export interface MemoryListener {
  /** The generation in which the store was created. */
  readonly joinedAt: number;
  /** Whether it writes as this instance. */
  isInstance(id: string): boolean;
}

interface Watch {
  readonly subscriber: KeyWatcher;
  readonly listener: MemoryListener;
}

interface PrefixWatch {
  readonly prefix: string;
  readonly watcher: PrefixWatcher;
  readonly listener: MemoryListener;
}

/**
 * The feed that the stores on one {@link CredentialMemory} share: their watches, the condition of their link, one view of the memory's
 * clock.
 */
export class MemoryFeed implements MemoryClient {
  readonly sharing: OptionSharing = new OptionSharing();
  readonly #memory: CredentialMemory;
  readonly #watches = new Map<string, readonly Watch[]>();
  #prefixWatches: readonly PrefixWatch[] = [];
  #time: ServerTime;
  #condition: FeedCondition;
  #lastProofAt: number;
  #stepReported = false;

  constructor(memory: CredentialMemory) {
    this.#memory = memory;
    this.#time = timeOf(memory);
    this.#lastProofAt = memory.clock.monotonic();
    this.#condition = createFeedCondition({
      link: memory.connected ? 'live' : 'connecting',
      generation: 1,
      gap: 'link',
      notifications: 'keyspace',
      announcing: true,
      maxLagMs: 0,
      error: undefined,
    });
    memory.join(this);
  }

  /** Changes whenever hints may have been missed. */
  get generation(): number {
    return this.#condition.generation;
  }

  watch(key: string, watcher: KeyWatcher, listener: MemoryListener): void {
    this.#startTime();
    const watch: Watch = { subscriber: watcher, listener };
    this.#watches.set(key, [...this.#watching(key), watch]);
    this.#memory.clock.nextTurn(() => {
      if (this.#watching(key).includes(watch))
        watcher.conditionChanged(this.#conditionFor(listener));
    });
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    const left = this.#watching(key).filter((one) => one.subscriber !== watcher);
    if (left.length > 0) this.#watches.set(key, left);
    else this.#watches.delete(key);
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher, listener: MemoryListener): void {
    this.#startTime();
    const watch: PrefixWatch = { prefix, watcher, listener };
    this.#prefixWatches = [...this.#prefixWatches, watch];
    this.#memory.clock.nextTurn(() => {
      if (this.#prefixWatches.includes(watch))
        watcher.conditionChanged(this.#conditionFor(listener));
    });
  }

  unwatchPrefix(prefix: string, watcher: PrefixWatcher): void {
    this.#prefixWatches = this.#prefixWatches.filter(
      (one) => one.watcher !== watcher || one.prefix !== prefix,
    );
  }

  confirmedAt(): number {
    return this.#memory.connected ? this.#memory.clock.monotonic() : this.#lastProofAt;
  }

  /** Adds a sample: the memory's clock showed `serverNow` at some moment since `sentAt`. */
  sample(serverNow: number, sentAt: number): ServerTime {
    // The sample would hide the step from later checks.
    if (this.#time.hasStepped()) this.reportClockStep();
    this.#time.sample(serverNow, sentAt, this.#memory.clock.monotonic());
    return this.#time;
  }

  reportClockStep(): void {
    // Several reports of the same step make one gap.
    if (this.#stepReported) return;
    this.#stepReported = true;
    this.#memory.clock.nextTurn(() => {
      this.#stepReported = false;
      this.#begin({ gap: 'clock' });
    });
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    const { generation } = this.#condition;
    this.#memory.clock.nextTurn(() => {
      if (generation !== this.#condition.generation) return;
      for (const { subscriber, listener } of this.#watching(key)) {
        subscriber.hint(isOwn(hint, listener) ? { ...hint, origin: 'self' } : hint);
      }
      for (const { prefix, watcher, listener } of this.#prefixWatches) {
        if (!key.startsWith(prefix)) continue;
        watcher.hint(key, isOwn(hint, listener) ? { ...hint, origin: 'self' } : hint);
      }
    });
  }

  gap(gap: 'link' | 'data', connected: boolean): void {
    // Hints arrived until now, however long ago the last reading was.
    if (!connected && this.#condition.link === 'live')
      this.#lastProofAt = this.#memory.clock.monotonic();
    this.#begin({ gap, link: connected ? 'live' : 'reconnecting' });
  }

  #begin(next: Pick<FeedCondition, 'gap'> & Partial<FeedCondition>): void {
    const { generation } = this.#condition;
    this.#condition = createFeedCondition({
      ...this.#condition,
      ...next,
      generation: generation + 1,
    });
    for (const { subscriber } of [...this.#watches.values()].flat())
      subscriber.conditionChanged(this.#condition);
    for (const { watcher } of this.#prefixWatches) watcher.conditionChanged(this.#condition);
  }

  #startTime(): void {
    // Without a watch no step of the clocks was noticed, and no end depends on the old samples.
    if (this.#watches.size === 0 && this.#prefixWatches.length === 0)
      this.#time = timeOf(this.#memory);
  }

  /** A store created during an outage is `connecting`, not `reconnecting`. */
  #conditionFor({ joinedAt }: MemoryListener): FeedCondition {
    const { link, generation } = this.#condition;
    if (link !== 'reconnecting' || joinedAt !== generation) return this.#condition;
    return createFeedCondition({ ...this.#condition, link: 'connecting' });
  }

  #watching(key: string): readonly Watch[] {
    return this.#watches.get(key) ?? [];
  }
}

function isOwn(hint: Hint | AttemptHint, listener: MemoryListener): hint is Hint {
  return (
    hint.type !== 'attempt' &&
    typeof hint.origin === 'object' &&
    listener.isInstance(hint.origin.instance)
  );
}

/** The memory's clock is this machine's: an assumed drift would only make ends of long-lived credentials late. */
function timeOf({ clock }: CredentialMemory): ServerTime {
  return new ServerTime(clock, 0);
}
