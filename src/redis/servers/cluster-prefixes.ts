import type { Clock } from '../../time/clock.js';
import {
  createFeedCondition,
  type AttemptHint,
  type Hint,
  type FeedCondition,
  type Observation,
  type PollResult,
  type Subscriber,
  type Subscription,
} from '../../backend/backend.js';
import { LinkProof } from '../../backend/link-proof.js';
import type { NotificationMode } from '../../credential/status.js';
import { setLongTimeout } from '../../time/timers.js';
import { slotOf } from '../keys.js';
import { largestSkew } from './skew-warning.js';
import type { Server } from './server.js';
import type { RedisSettings } from '../connection-options.js';

export interface ClusterPrefixesContext {
  readonly clock: Clock;
  readonly settings: () => RedisSettings;
  readonly newGeneration: () => number;
  readonly masters: () => readonly Server[];
  readonly serverOf: (slot: number) => Server | undefined;
  /** Reads a key on the server of its slot. */
  readonly read: (key: string, maxBytes: number) => Promise<Observation>;
  readonly reportClockStep: () => void;
  /** The last prefix has ended its subscription. */
  readonly emptied: () => void;
  /** The condition of a key that has no master. */
  readonly unassigned: () => FeedCondition;
}

/** The watched prefixes: each is subscribed to on every master, because any master may have keys below it. */
export class ClusterPrefixes {
  readonly #context: ClusterPrefixesContext;
  readonly #all = new Set<PrefixSubscription>();
  #cancelResync: (() => void) | undefined;

  constructor(context: ClusterPrefixesContext) {
    this.#context = context;
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  subscribe(prefix: string, subscriber: Subscriber): Subscription {
    const subscription = new PrefixSubscription(prefix, subscriber, this.#context, () => {
      if (!this.#all.delete(subscription)) return;
      if (!this.isEmpty) return;
      this.close();
      this.#context.emptied();
    });
    this.#all.add(subscription);
    subscription.spread();
    return subscription;
  }

  /** Emits a hint for a key below a watched prefix, because its own hints may have been missed. */
  doubt(key: string): void {
    for (const { prefix, subscriber } of this.#all)
      if (key.startsWith(prefix))
        subscriber.hint(key, { type: 'written', origin: 'unknown', reason: undefined });
  }

  /** Follows slots to their new masters. */
  rerouted(): void {
    for (const one of this.#all) one.spread();
    if (this.isEmpty || this.#cancelResync !== undefined) return;
    // Hints of moved keys may have been missed. Slots often move by the hundred, one after the other, and share one resync.
    const { clock, settings } = this.#context;
    this.#cancelResync = setLongTimeout(clock, settings().heartbeatMs, () => {
      this.#cancelResync = undefined;
      for (const one of this.#all) one.startResync();
    });
  }

  close(): void {
    this.#cancelResync?.();
    this.#cancelResync = undefined;
  }
}

/** One subscription to a prefix, in the feeds of all masters. */
class PrefixSubscription implements Subscription {
  readonly prefix: string;
  readonly subscriber: Subscriber;
  readonly #context: ClusterPrefixesContext;
  readonly #closed: () => void;
  readonly #parts = new Map<Server, PrefixPart>();
  #condition: FeedCondition | undefined;
  /** The generations that the present generation is composed of. */
  #composition = '';
  #wasLive = false;
  #ended = false;
  /** The earliest confirmation of the masters that have gone since everything was live. */
  #lost = Infinity;

  constructor(
    prefix: string,
    subscriber: Subscriber,
    context: ClusterPrefixesContext,
    closed: () => void,
  ) {
    this.prefix = prefix;
    this.subscriber = subscriber;
    this.#context = context;
    this.#closed = closed;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#context.read(key, maxBytes);
  }

  confirmedAt(key?: string): number {
    const now = this.#context.clock.monotonic();
    if (key !== undefined) {
      const server = this.#context.serverOf(slotOf(key));
      return Math.min(this.#lost, server?.feed.confirmedAt() ?? now);
    }
    const parts = [...this.#parts.keys()].map(({ feed }) => feed.confirmedAt());
    return Math.min(now, this.#lost, ...parts);
  }

  reportClockStep(): void {
    this.#context.reportClockStep();
  }

  reportMissedHint(key: string): void {
    const server = this.#context.serverOf(slotOf(key));
    if (server !== undefined) this.#parts.get(server)?.reportMissedHint(key);
  }

  close(): void {
    for (const part of this.#parts.values()) part.close();
    this.#parts.clear();
    this.#condition = undefined;
    this.#ended = true;
    this.#closed();
  }

  /** The number of readings that each master's heartbeat contributes, so that together they cover all keys. */
  get share(): number {
    return Math.ceil(this.subscriber.size / Math.max(1, this.#parts.size));
  }

  /** Subscribes on the present masters, and on no others. */
  spread(): void {
    const masters = new Set(this.#context.masters());
    for (const [server, part] of this.#parts) {
      if (masters.has(server)) continue;
      this.#parts.delete(server);
      this.#lost = Math.min(this.#lost, server.feed.confirmedAt());
      part.close();
    }
    for (const server of masters) {
      if (this.#parts.has(server)) continue;
      this.#parts.set(server, new PrefixPart(this, server));
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
    this.subscriber.conditionChanged(this.#condition, (key) => this.#conditionOf(key));
    // A subscriber that became stale has read `confirmedAt` by now.
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
    const notifications = worst(known.map((condition) => condition.notifications));
    const before = composition === this.#composition ? this.#condition?.generation : undefined;
    this.#composition = composition;
    return createFeedCondition({
      link,
      generation: before ?? this.#context.newGeneration(),
      gap: (unwell ?? newest(known) ?? first).gap,
      notifications,
      announcing: known.every(({ announcing }) => announcing),
      scriptsRefused: known.find(({ scriptsRefused }) => scriptsRefused)?.scriptsRefused,
      sweepMs: notifications === 'keyspace' ? first.sweepMs : undefined,
      maxLagMs: Math.max(...known.map(({ maxLagMs }) => maxLagMs)),
      proof: new LinkProof(() => Math.min(...known.map(({ proof }) => proof.confirmedAt))),
      skewMs: () => largestSkew(known.map(({ skewMs }) => skewMs?.())),
      provenWithinMs: Math.max(...known.map(({ provenWithinMs }) => provenWithinMs)),
      error: unwell?.error,
    });
  }
}

/** A prefix in the feed of one master. */
class PrefixPart implements Subscriber {
  readonly #whole: PrefixSubscription;
  readonly #server: Server;
  readonly #subscription: Subscription;
  condition: FeedCondition | undefined;

  constructor(whole: PrefixSubscription, server: Server) {
    this.#whole = whole;
    this.#server = server;
    this.#subscription = server.feed.subscribe({ prefix: whole.prefix }, this);
  }

  get size(): number {
    return this.#whole.share;
  }

  get maxStalenessMs(): number {
    return this.#whole.subscriber.maxStalenessMs;
  }

  hint(key: string, hint: Hint | AttemptHint): void {
    // A foreign write to a slot that is moving to this master counts too.
    const foreign = hint.type !== 'attempt' && hint.origin === 'out-of-band';
    if (foreign || this.#whole.isOf(this.#server, key)) this.#whole.subscriber.hint(key, hint);
  }

  conditionChanged(condition: FeedCondition): void {
    this.condition = condition;
    this.#whole.report();
  }

  reportMissedHint(key: string): void {
    this.#subscription.reportMissedHint?.(key);
  }

  pollNext(): PollResult {
    // The reading may have gone to another master: this one still has to prove that it is alive.
    return this.#whole.subscriber.pollNext() === 'none' ? 'none' : 'elsewhere';
  }

  pollAll(which?: 'open'): PollResult {
    if (which === undefined && !this.#whole.polls(this)) return 'none';
    return this.#whole.subscriber.pollAll(which) === 'none' ? 'none' : 'elsewhere';
  }

  close(): void {
    this.#subscription.close();
  }
}

function worst(modes: readonly NotificationMode[]): NotificationMode {
  if (modes.includes('polling')) return 'polling';
  return modes.includes('announcements') ? 'announcements' : 'keyspace';
}

function newest(conditions: readonly FeedCondition[]): FeedCondition | undefined {
  return [...conditions].sort((a, b) => b.generation - a.generation)[0];
}
