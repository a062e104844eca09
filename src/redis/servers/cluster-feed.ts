import type { Clock } from '../../time/clock.js';
import {
  createFeedCondition,
  type HintFeed,
  type FeedCondition,
  type KeyWatcher,
  type Observation,
  type PrefixWatcher,
} from '../../backend/backend.js';
import { UnavailableError } from '../../errors.js';
import { setLongTimeout } from '../../time/timers.js';
import { isDenial, RedirectedError } from '../reply-errors.js';
import { slotOf } from '../keys.js';
import type { Server } from './server.js';
import type { RedisSettings } from '../connection-options.js';
import { retryPauseMs } from '../connection/retry.js';
import { SessionTimers } from '../connection/session-timers.js';
import { ClusterPrefixes } from './cluster-prefixes.js';
import type { ClusterTopology } from './cluster-topology.js';

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
  readonly watches: Map<string, readonly KeyWatcher[]>;
  /** The confirmation of the previous master; until the first reading from the present one. */
  confirmedAt: number | undefined;
}

/** Keeps each watched key in the feed of its master, and follows the slot to another master, also without traffic. */
export class ClusterFeed implements HintFeed {
  readonly #context: ClusterFeedContext;
  readonly #routes = new Map<number, Route>();
  readonly #prefixes: ClusterPrefixes;
  readonly #timers: SessionTimers<'refresh'>;
  /** Keys that were found on another server than the one that sends their hints. */
  readonly #misrouted = new Set<string>();
  #cancelLocating: (() => void) | undefined;
  /** Identifies the search under way. */
  #locating: object | undefined;
  #failures = 0;
  #wasAssigned = false;
  #unassignedCondition: FeedCondition | undefined;
  #closed = false;

  constructor(context: ClusterFeedContext) {
    this.#context = context;
    this.#timers = new SessionTimers(context.clock);
    this.#prefixes = new ClusterPrefixes({
      ...context,
      unassigned: () => this.#unassignedCondition ?? this.#unassigned(),
    });
  }

  watch(key: string, watcher: KeyWatcher): void {
    if (this.#isIdle) this.#begin();
    const slot = slotOf(key);
    let route = this.#routes.get(slot);
    if (route === undefined) {
      route = { server: this.#context.serverOf(slot), watches: new Map(), confirmedAt: undefined };
      this.#routes.set(slot, route);
    }
    route.watches.set(key, [...(route.watches.get(key) ?? []), watcher]);
    if (route.server !== undefined) route.server.feed.watch(key, watcher);
    else this.#reportUnassigned(slot, key, watcher);
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    const watchers = route?.watches.get(key);
    if (route === undefined || watchers?.includes(watcher) !== true) return;
    route.server?.feed.unwatch(key, watcher);
    const left = watchers.filter((one) => one !== watcher);
    if (left.length > 0) {
      route.watches.set(key, left);
      return;
    }
    route.watches.delete(key);
    this.#misrouted.delete(key);
    if (route.watches.size === 0) this.#routes.delete(slot);
    if (this.#isIdle) this.#goIdle();
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher): void {
    if (this.#isIdle) this.#begin();
    this.#prefixes.watch(prefix, watcher);
    if (this.#context.masters().length === 0) this.#locate();
  }

  unwatchPrefix(_prefix: string, watcher: PrefixWatcher): void {
    this.#prefixes.unwatch(watcher);
    if (this.#isIdle) this.#goIdle();
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#readOver(key, maxBytes).then((observation) => ({
      ...observation,
      toleranceMs: observation.toleranceMs + MOVED_LATE_MS,
    }));
  }

  #readOver(key: string, maxBytes: number): Promise<Observation> {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    // A watched key is read from the server that sends its hints, also in the moment after its slot has moved.
    const server = route?.watches.has(key) ? route.server : this.#context.serverOf(slot);
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
    const below = this.#prefixes.confirmedAt(key);
    if (below !== undefined) return below;
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
    for (const [key, watchers] of route.watches) {
      for (const watcher of watchers) {
        before?.feed.unwatch(key, watcher);
        if (server !== undefined) server.feed.watch(key, watcher);
        else this.#reportUnassigned(slot, key, watcher);
      }
    }
  }

  #reportUnassigned(slot: number, key: string, watcher: KeyWatcher): void {
    this.#context.clock.nextTurn(() => {
      const route = this.#routes.get(slot);
      if (route?.server === undefined && route?.watches.get(key)?.includes(watcher))
        watcher.conditionChanged(this.#unassigned());
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
      error,
    });
    return this.#unassignedCondition;
  }

  /** Refreshes the topology until every watched slot has a master. */
  #locate(): void {
    if (this.#closed || this.#locating !== undefined) return;
    const { clock, topology, settings } = this.#context;
    const pause =
      this.#failures === 0
        ? 0
        : retryPauseMs(this.#failures, isDenial(topology.failure), settings().random);
    const search = {};
    this.#locating = search;
    this.#cancelLocating = setLongTimeout(clock, pause, () => {
      void topology.refresh().then(() => {
        if (this.#locating !== search) return;
        this.#locating = undefined;
        this.rerouted();
        this.#located();
      });
    });
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
    for (const { watches } of unassigned)
      for (const watcher of [...watches.values()].flat()) watcher.conditionChanged(condition);
    this.#locate();
  }

  #pollMisrouted(): void {
    const misrouted = [...this.#misrouted];
    this.#misrouted.clear();
    for (const key of misrouted) {
      const watchers = this.#routes.get(slotOf(key))?.watches.get(key);
      if (watchers === undefined) this.#prefixes.doubt(key);
      else for (const watcher of watchers) watcher.poll();
    }
  }

  #goIdle(): void {
    this.#timers.stop();
    this.#prefixes.close();
    this.#cancelLocating?.();
    this.#cancelLocating = undefined;
    this.#locating = undefined;
    this.#failures = 0;
    this.#wasAssigned = false;
    this.#unassignedCondition = undefined;
    this.#misrouted.clear();
  }
}
