import type { Clock } from '../../time/clock.js';
import {
  createFeedCondition,
  type AttemptHint,
  type Hint,
  type FeedCondition,
  type PrefixWatcher,
} from '../../backend/backend.js';
import type { NotificationMode } from '../../credential/status.js';
import { setLongTimeout } from '../../time/timers.js';
import { slotOf } from '../keys.js';
import type { Server } from './server.js';
import type { RedisSettings } from '../connection-options.js';

export interface ClusterPrefixesContext {
  readonly clock: Clock;
  readonly settings: () => RedisSettings;
  readonly newGeneration: () => number;
  readonly masters: () => readonly Server[];
  readonly serverOf: (slot: number) => Server | undefined;
  /** The condition of a key that has no master. */
  readonly unassigned: () => FeedCondition;
}

/** The watched prefixes: each is subscribed to on every master, because any master may have keys below it. */
export class ClusterPrefixes {
  readonly #context: ClusterPrefixesContext;
  readonly #watches = new Map<PrefixWatcher, PrefixWatch>();
  #cancelResync: (() => void) | undefined;

  constructor(context: ClusterPrefixesContext) {
    this.#context = context;
  }

  get isEmpty(): boolean {
    return this.#watches.size === 0;
  }

  watch(prefix: string, watcher: PrefixWatcher): void {
    const watch = new PrefixWatch(prefix, watcher, this.#context);
    this.#watches.set(watcher, watch);
    watch.spread();
  }

  unwatch(watcher: PrefixWatcher): void {
    this.#watches.get(watcher)?.end();
    this.#watches.delete(watcher);
    if (this.isEmpty) this.close();
  }

  /** The confirmation of a prefix, or of a key below one; `undefined` for any other key. */
  confirmedAt(key: string): number | undefined {
    for (const watch of this.#watches.values()) {
      if (watch.prefix === key) return watch.confirmedAt;
      if (key.startsWith(watch.prefix)) return watch.confirmedAtKey(key);
    }
    return undefined;
  }

  /** Emits a hint for a key below a watched prefix, because its own hints may have been missed. */
  doubt(key: string): void {
    for (const { prefix, watcher } of this.#watches.values())
      if (key.startsWith(prefix))
        watcher.hint(key, { type: 'written', origin: 'unknown', reason: undefined });
  }

  /** Follows slots to their new masters. */
  rerouted(): void {
    for (const watch of this.#watches.values()) watch.spread();
    if (this.isEmpty || this.#cancelResync !== undefined) return;
    // Hints of moved keys may have been missed. Slots often move by the hundred, one after the other, and share one resync.
    const { clock, settings } = this.#context;
    this.#cancelResync = setLongTimeout(clock, settings().heartbeatMs, () => {
      this.#cancelResync = undefined;
      for (const watch of this.#watches.values()) watch.startResync();
    });
  }

  close(): void {
    this.#cancelResync?.();
    this.#cancelResync = undefined;
  }
}

/** One watcher of a prefix, in the feeds of all masters. */
class PrefixWatch {
  readonly prefix: string;
  readonly watcher: PrefixWatcher;
  readonly #context: ClusterPrefixesContext;
  readonly #parts = new Map<Server, PrefixPart>();
  #condition: FeedCondition | undefined;
  /** The generations that the present generation is composed of. */
  #composition = '';
  #wasLive = false;
  #ended = false;
  /** The earliest confirmation of the masters that have gone since everything was live. */
  #lost = Infinity;

  constructor(prefix: string, watcher: PrefixWatcher, context: ClusterPrefixesContext) {
    this.prefix = prefix;
    this.watcher = watcher;
    this.#context = context;
  }

  get confirmedAt(): number {
    return Math.min(
      this.#context.clock.monotonic(),
      this.#lost,
      ...[...this.#parts.keys()].map(({ feed }) => feed.confirmedAt()),
    );
  }

  confirmedAtKey(key: string): number {
    const server = this.#context.serverOf(slotOf(key));
    return Math.min(this.#lost, server?.feed.confirmedAt() ?? this.#context.clock.monotonic());
  }

  /** The number of readings that each master's heartbeat contributes, so that together they cover all keys. */
  get share(): number {
    return Math.ceil(this.watcher.size / Math.max(1, this.#parts.size));
  }

  /** Subscribes on the present masters, and on no others. */
  spread(): void {
    const masters = new Set(this.#context.masters());
    for (const [node, part] of this.#parts) {
      if (masters.has(node)) continue;
      this.#parts.delete(node);
      this.#lost = Math.min(this.#lost, node.feed.confirmedAt());
      node.feed.unwatchPrefix(this.prefix, part);
    }
    for (const server of masters) {
      if (this.#parts.has(server)) continue;
      const part = new PrefixPart(this, server);
      this.#parts.set(server, part);
      server.feed.watchPrefix(this.prefix, part);
    }
    this.#context.clock.nextTurn(() => {
      this.report();
    });
  }

  /** Starts a resync. */
  startResync(): void {
    this.#composition = '';
    this.report();
  }

  end(): void {
    for (const [node, part] of this.#parts) node.feed.unwatchPrefix(this.prefix, part);
    this.#parts.clear();
    this.#condition = undefined;
    this.#ended = true;
  }

  /** Whether this master is responsible for a key: every master receives all announcements. */
  isOf(server: Server, key: string): boolean {
    return this.#context.serverOf(slotOf(key)) === server;
  }

  /** Whether this part polls for all parts without keyspace notifications. */
  polls(part: PrefixPart): boolean {
    for (const one of this.#parts.values())
      if (one.condition?.notifications !== 'keyspace') return one === part;
    return false;
  }

  report(): void {
    // The first call of `spread` is still to come.
    if (this.#ended) return;
    if (
      this.#parts.size === 0 &&
      this.#condition === undefined &&
      this.#context.masters().length > 0
    )
      return;
    this.#condition = this.#combined();
    this.watcher.conditionChanged(this.#condition, (key) => this.#conditionOf(key));
    // A watcher that became stale has read `confirmedAt` by now.
    if (this.#condition.link === 'live') this.#lost = Infinity;
  }

  #conditionOf(key: string): FeedCondition {
    const server = this.#context.serverOf(slotOf(key));
    const condition = server && this.#parts.get(server)?.condition;
    return condition ?? this.#context.unassigned();
  }

  /** The condition of the whole prefix: as good as that of the worst master. */
  #combined(): FeedCondition {
    const parts = [...this.#parts.values()].map(({ condition }) => condition);
    const known = parts.filter((condition) => condition !== undefined);
    const unwell = known.find(({ link }) => link !== 'live');
    const [first] = known;
    if (first === undefined) return this.#context.unassigned();
    const live = unwell === undefined && known.length === parts.length;
    if (live) this.#wasLive = true;
    const waiting = this.#wasLive ? 'reconnecting' : 'connecting';
    const link = live ? 'live' : unwell?.link === 'unauthorized' ? 'unauthorized' : waiting;
    const composition = `${link} ${known.map(({ generation }) => generation).join(' ')}`;
    const before = composition === this.#composition ? this.#condition?.generation : undefined;
    this.#composition = composition;
    return createFeedCondition({
      link,
      generation: before ?? this.#context.newGeneration(),
      gap: (unwell ?? newest(known) ?? first).gap,
      notifications: worst(known.map(({ notifications }) => notifications)),
      announcing: known.every(({ announcing }) => announcing),
      maxLagMs: Math.max(...known.map(({ maxLagMs }) => maxLagMs)),
      error: unwell?.error,
    });
  }
}

/** A prefix in the feed of one master. */
class PrefixPart implements PrefixWatcher {
  readonly #whole: PrefixWatch;
  readonly #server: Server;
  condition: FeedCondition | undefined;

  constructor(whole: PrefixWatch, server: Server) {
    this.#whole = whole;
    this.#server = server;
  }

  get size(): number {
    return this.#whole.share;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    // A foreign write to a slot that is moving to this master counts too.
    const foreign = hint.type !== 'attempt' && hint.origin === 'out-of-band';
    if (foreign || this.#whole.isOf(this.#server, key)) this.#whole.watcher.hint(key, hint);
  }

  conditionChanged(condition: FeedCondition): void {
    this.condition = condition;
    this.#whole.report();
  }

  poll(): false | 'elsewhere' {
    // The reading may have gone to another master: this one still has to prove that it is alive.
    return this.#whole.watcher.poll() !== false && 'elsewhere';
  }

  pollAll(): boolean {
    if (this.#whole.polls(this)) this.#whole.watcher.pollAll();
    return false;
  }
}

function worst(modes: readonly NotificationMode[]): NotificationMode {
  if (modes.includes('polling')) return 'polling';
  return modes.includes('announcements') ? 'announcements' : 'keyspace';
}

function newest(conditions: readonly FeedCondition[]): FeedCondition | undefined {
  return [...conditions].sort((a, b) => b.generation - a.generation)[0];
}
