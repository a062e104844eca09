import type { Clock } from '../../time/clock.js';
import {
  createFeedCondition,
  type FeedCondition,
  type Observation,
  type Subscriber,
  type Subscription,
  type SubscriptionTarget,
} from '../../backend/backend.js';
import { UnavailableError } from '../../errors.js';
import { setLongTimeout } from '../../time/timers.js';
import { isDenial, RedirectedError } from '../reply-errors.js';
import { slotOf } from '../keys.js';
import type { Server } from './server.js';
import type { RedisSettings } from '../connection-options.js';
import { retryPauseMs } from '../connection/retry.js';
import { SessionTimers } from '../connection/session-timers.js';
import { LinkProof } from '../../backend/link-proof.js';
import { ClusterPrefixes } from './cluster-prefixes.js';
import type { ClusterTopology } from './cluster-topology.js';

const NEVER_PROVEN: FeedCondition['proof'] = new LinkProof(() => -Infinity);

/** MIGRATE sends the remaining TTL, so a moved key ends later by the time of the transfer. */
const MOVED_LATE_MS = 100;

export interface ClusterFeedContext {
  readonly clock: Clock;
  readonly settings: () => RedisSettings;
  readonly newGeneration: () => number;
  readonly topology: Pick<ClusterTopology, 'refresh' | 'failure'>;
  readonly serverOf: (slot: number) => Server | undefined;
  readonly masters: () => readonly Server[];
  /** Reads a key that the server of its slot does not have. */
  readonly redirected: (key: string, maxBytes: number, error: unknown) => Promise<Observation>;
}

/** The watched keys of one slot. */
interface Route {
  /** The master of the slot; `undefined` while none is known. */
  server: Server | undefined;
  readonly subscriptions: Map<string, readonly KeySubscription[]>;
  /** The confirmation of the previous master; until the first reading from the present one. */
  confirmedAt: number | undefined;
}

/** Keeps each watched key in the feed of its master, and follows the slot to another master, also without traffic. */
export class ClusterFeed {
  readonly #context: ClusterFeedContext;
  readonly #routes = new Map<number, Route>();
  readonly #prefixes: ClusterPrefixes;
  readonly #timers: SessionTimers<'refresh'>;
  /** Keys that were found on another server than the one that sends their hints. */
  readonly #misrouted = new Set<string>();
  /** The search for masters that is under way. */
  #search: { readonly cancel: () => void } | undefined;
  #failures = 0;
  #wasAssigned = false;
  #unassignedCondition: FeedCondition | undefined;
  #closed = false;

  constructor(context: ClusterFeedContext) {
    this.#context = context;
    this.#timers = new SessionTimers(context.clock);
    this.#prefixes = new ClusterPrefixes({
      ...context,
      read: (key, maxBytes) => this.read(key, maxBytes),
      reportClockStep: () => {
        this.reportClockStep();
      },
      emptied: () => {
        if (this.#isIdle) this.#goIdle();
      },
      unassigned: () => this.#unassignedCondition ?? this.#unassigned(),
    });
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    if (this.#isIdle) this.#begin();
    if ('key' in to) return this.#subscribeToKey(to.key, subscriber);
    const subscription = this.#prefixes.subscribe(to.prefix, subscriber);
    if (this.#context.masters().length === 0) this.#locate();
    return subscription;
  }

  #subscribeToKey(key: string, subscriber: Subscriber): Subscription {
    const slot = slotOf(key);
    let route = this.#routes.get(slot);
    if (route === undefined) {
      const server = this.#context.serverOf(slot);
      route = { server, subscriptions: new Map(), confirmedAt: undefined };
      this.#routes.set(slot, route);
    }
    const subscription = new KeySubscription(key, subscriber, this);
    route.subscriptions.set(key, [...(route.subscriptions.get(key) ?? []), subscription]);
    if (route.server === undefined) this.#reportUnassigned(slot, subscription);
    else subscription.moveTo(route.server);
    return subscription;
  }

  /** Ends a subscription to a key. */
  unsubscribe(subscription: KeySubscription): void {
    const { key } = subscription;
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    const all = route?.subscriptions.get(key);
    if (route === undefined || all?.includes(subscription) !== true) return;
    subscription.moveTo(undefined);
    const left = all.filter((one) => one !== subscription);
    if (left.length > 0) {
      route.subscriptions.set(key, left);
      return;
    }
    route.subscriptions.delete(key);
    this.#misrouted.delete(key);
    if (route.subscriptions.size === 0) this.#routes.delete(slot);
    if (this.#isIdle) this.#goIdle();
  }

  /** Reads a key on the server that sends its hints. */
  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#readOver(key, maxBytes).then((observation) => ({
      ...observation,
      lateMs: MOVED_LATE_MS,
    }));
  }

  #readOver(key: string, maxBytes: number): Promise<Observation> {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    // A watched key is read from the server that sends its hints, also in the moment after its slot has moved.
    const server = route?.subscriptions.has(key) ? route.server : this.#context.serverOf(slot);
    if (server === undefined)
      return Promise.reject(new UnavailableError('there is no link to Redis'));
    return server.feed.read(key, maxBytes).then(
      (observation) => {
        if (route?.server === server) route.confirmedAt = undefined;
        return observation;
      },
      (error: unknown) => {
        if (!(error instanceof RedirectedError)) throw error;
        this.#misrouted.add(key);
        return this.#context.redirected(key, maxBytes, error).catch((again: unknown) => {
          this.#misrouted.add(key);
          throw again;
        });
      },
    );
  }

  confirmedAt(key: string): number {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    const server = route?.server ?? this.#context.serverOf(slot);
    return route?.confirmedAt ?? server?.feed.confirmedAt() ?? this.#context.clock.monotonic();
  }

  reportClockStep(): void {
    for (const { feed } of this.#context.masters()) feed.reportClockStep();
  }

  /** Follows slots to their new masters. */
  rerouted(): void {
    if (this.#closed) return;
    for (const [slot, route] of this.#routes) this.#reroute(slot, route);
    this.#prefixes.rerouted();
    this.#pollMisrouted();
  }

  applySettings(): void {
    if (!this.#isIdle) this.#begin();
  }

  get #isIdle(): boolean {
    return this.#routes.size === 0 && this.#prefixes.isEmpty;
  }

  #begin(): void {
    const period = (): number => this.#context.settings().heartbeatMs;
    this.#timers.every('refresh', period, () => {
      // No command would report a moved slot to a client that only subscribes.
      void this.#context.topology.refresh(1).then(() => {
        this.#pollMisrouted();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#goIdle();
  }

  #reroute(slot: number, route: Route): void {
    const before = route.server;
    const server = this.#context.serverOf(slot);
    if (server === before) return;
    if (before !== undefined) {
      this.#wasAssigned = true;
      route.confirmedAt ??= before.feed.confirmedAt();
    }
    route.server = server;
    for (const subscription of [...route.subscriptions.values()].flat()) {
      subscription.moveTo(server);
      if (server === undefined) this.#reportUnassigned(slot, subscription);
    }
  }

  #reportUnassigned(slot: number, subscription: KeySubscription): void {
    this.#context.clock.nextTurn(() => {
      const route = this.#routes.get(slot);
      if (route?.server !== undefined) return;
      if (route?.subscriptions.get(subscription.key)?.includes(subscription) === true)
        subscription.subscriber.conditionChanged(this.#unassigned());
    });
    this.#locate();
  }

  /** All keys without a master share one condition, as long as the failure is the same. */
  #unassigned(error?: Error): FeedCondition {
    const link = isDenial(error)
      ? 'unauthorized'
      : this.#wasAssigned
        ? 'reconnecting'
        : 'connecting';
    const before = this.#unassignedCondition;
    if (before?.link === link && before.error === error) return before;
    this.#unassignedCondition = createFeedCondition({
      link,
      generation: this.#context.newGeneration(),
      gap: 'link',
      notifications: 'polling',
      announcing: true,
      maxLagMs: 0,
      proof: NEVER_PROVEN,
      provenWithinMs: 0,
      error,
    });
    return this.#unassignedCondition;
  }

  /** Refreshes the topology until every watched slot has a master. */
  #locate(): void {
    if (this.#closed || this.#search !== undefined) return;
    const { clock, topology, settings } = this.#context;
    const pause =
      this.#failures === 0
        ? 0
        : retryPauseMs(this.#failures, isDenial(topology.failure), settings().random);
    const cancel = setLongTimeout(clock, pause, () => {
      void topology.refresh().then(() => {
        if (this.#search !== search) return;
        this.#search = undefined;
        this.rerouted();
        this.#located();
      });
    });
    const search = { cancel };
    this.#search = search;
  }

  #located(): void {
    const unassigned = [...this.#routes.values()].filter(({ server }) => server === undefined);
    const nowhere = !this.#prefixes.isEmpty && this.#context.masters().length === 0;
    if (unassigned.length === 0 && !nowhere) {
      this.#failures = 0;
      return;
    }
    this.#failures += 1;
    const condition = this.#unassigned(this.#context.topology.failure);
    for (const { subscriptions } of unassigned)
      for (const { subscriber } of [...subscriptions.values()].flat())
        subscriber.conditionChanged(condition);
    this.#locate();
  }

  #pollMisrouted(): void {
    const misrouted = [...this.#misrouted];
    this.#misrouted.clear();
    for (const key of misrouted) {
      const subscriptions = this.#routes.get(slotOf(key))?.subscriptions.get(key);
      if (subscriptions === undefined) this.#prefixes.doubt(key);
      else for (const { subscriber } of subscriptions) subscriber.pollNext();
    }
  }

  #goIdle(): void {
    this.#timers.stop();
    this.#prefixes.close();
    this.#search?.cancel();
    this.#search = undefined;
    this.#failures = 0;
    this.#wasAssigned = false;
    this.#unassignedCondition = undefined;
    this.#misrouted.clear();
  }
}

/** One subscription to a key, in the feed of the master of its slot. There may be very many. */
class KeySubscription implements Subscription {
  readonly key: string;
  readonly subscriber: Subscriber;
  readonly #feed: ClusterFeed;
  #atServer: Subscription | undefined;

  constructor(key: string, subscriber: Subscriber, feed: ClusterFeed) {
    this.key = key;
    this.subscriber = subscriber;
    this.#feed = feed;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#feed.read(key, maxBytes);
  }

  confirmedAt(): number {
    return this.#feed.confirmedAt(this.key);
  }

  reportClockStep(): void {
    this.#feed.reportClockStep();
  }

  reportMissedHint(): void {
    this.#atServer?.reportMissedHint?.(this.key);
  }

  close(): void {
    this.#feed.unsubscribe(this);
  }

  /** Leaves the feed of one server for that of another, or for none. */
  moveTo(server: Server | undefined): void {
    this.#atServer?.close();
    this.#atServer = server?.feed.subscribe(this, this.subscriber);
  }
}
