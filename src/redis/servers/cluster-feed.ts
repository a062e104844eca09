import type { Clock } from '../../time/clock.js';
import {
  createKeyFeed,
  type HintFeed,
  type KeyFeed,
  type KeyWatcher,
  type Observation,
  type PrefixWatcher,
} from '../../backend/backend.js';
import { UnavailableError } from '../../errors.js';
import { after } from '../../time/timers.js';
import { isDenial, RedirectedError } from '../reply-errors.js';
import { slotOf } from '../keys.js';
import type { RedisNode } from './server.js';
import type { RedisSettings } from '../connection-options.js';
import { retryPauseMs } from '../connection/retry-pause.js';
import { RunTimers } from '../connection/session-timers.js';
import { ClusterPrefixes } from './cluster-prefixes.js';
import type { ClusterTopology } from './cluster-topology.js';

/** MIGRATE sends the time that is left, so a key that is moved ends later by as long as that took. */
const MOVED_LATE_MS = 100;

export interface ClusterFeedContext {
  readonly clock: Clock;
  readonly settings: () => RedisSettings;
  readonly newGeneration: () => number;
  readonly topology: Pick<ClusterTopology, 'refresh' | 'failure'>;
  readonly nodeOf: (slot: number) => RedisNode | undefined;
  readonly masters: () => readonly RedisNode[];
  /** Looks at a key which the node that should have it does not have. */
  readonly elsewhere: (key: string, maxBytes: number, error: unknown) => Promise<Observation>;
}

/** The watched keys of one slot. */
interface Route {
  /** The master that has it; `undefined` while none is known. */
  node: RedisNode | undefined;
  readonly watches: Map<string, readonly KeyWatcher[]>;
  /** Up to when the node before vouched for what is held; until the present one has been read from. */
  vouchedAt: number | undefined;
}

/** Keeps each watched key in the feed of the master that has it, and follows when that is another one, also while nothing happens. */
export class ClusterFeed implements HintFeed {
  readonly #context: ClusterFeedContext;
  readonly #routes = new Map<number, Route>();
  readonly #prefixes: ClusterPrefixes;
  readonly #timers: RunTimers<'refresh'>;
  /** Keys that were found elsewhere than where their hints come from. */
  readonly #astray = new Set<string>();
  #cancelSeeking: (() => void) | undefined;
  /** Identifies the seeking under way. */
  #seeking: object | undefined;
  #failures = 0;
  #wasServed = false;
  #unservedFeed: KeyFeed | undefined;
  #closed = false;

  constructor(context: ClusterFeedContext) {
    this.#context = context;
    this.#timers = new RunTimers(context.clock);
    this.#prefixes = new ClusterPrefixes({
      ...context,
      unserved: () => this.#unservedFeed ?? this.#unserved(),
    });
  }

  watch(key: string, watcher: KeyWatcher): void {
    if (this.#isIdle) this.#begin();
    const slot = slotOf(key);
    let route = this.#routes.get(slot);
    if (route === undefined) {
      route = { node: this.#context.nodeOf(slot), watches: new Map(), vouchedAt: undefined };
      this.#routes.set(slot, route);
    }
    route.watches.set(key, [...(route.watches.get(key) ?? []), watcher]);
    if (route.node !== undefined) route.node.feed.watch(key, watcher);
    else this.#tellUnserved(slot, key, watcher);
  }

  unwatch(key: string, watcher: KeyWatcher): void {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    const watchers = route?.watches.get(key);
    if (route === undefined || watchers?.includes(watcher) !== true) return;
    route.node?.feed.unwatch(key, watcher);
    const left = watchers.filter((one) => one !== watcher);
    if (left.length > 0) {
      route.watches.set(key, left);
      return;
    }
    route.watches.delete(key);
    this.#astray.delete(key);
    if (route.watches.size === 0) this.#routes.delete(slot);
    if (this.#isIdle) this.#rest();
  }

  watchPrefix(prefix: string, watcher: PrefixWatcher): void {
    if (this.#isIdle) this.#begin();
    this.#prefixes.watch(prefix, watcher);
    if (this.#context.masters().length === 0) this.#seek();
  }

  unwatchPrefix(_prefix: string, watcher: PrefixWatcher): void {
    this.#prefixes.unwatch(watcher);
    if (this.#isIdle) this.#rest();
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#observe(key, maxBytes).then((observation) => ({
      ...observation,
      toleranceMs: observation.toleranceMs + MOVED_LATE_MS,
    }));
  }

  #observe(key: string, maxBytes: number): Promise<Observation> {
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    // One that is watched by itself is looked at where its hints come from, also a moment after its slot has moved.
    const node = route?.watches.has(key) ? route.node : this.#context.nodeOf(slot);
    if (node === undefined)
      return Promise.reject(new UnavailableError('there is no link to Redis'));
    return node.feed.observe(key, maxBytes).then(
      (observation) => {
        if (route?.node === node) route.vouchedAt = undefined;
        return observation;
      },
      (error: unknown) => {
        if (!(error instanceof RedirectedError)) throw error;
        this.#astray.add(key);
        return this.#context.elsewhere(key, maxBytes, error).catch((again: unknown) => {
          this.#astray.add(key);
          throw again;
        });
      },
    );
  }

  vouchedAt(key: string): number {
    const below = this.#prefixes.vouchedAt(key);
    if (below !== undefined) return below;
    const slot = slotOf(key);
    const route = this.#routes.get(slot);
    const node = route?.node ?? this.#context.nodeOf(slot);
    return route?.vouchedAt ?? node?.feed.vouchedAt() ?? this.#context.clock.monotonic();
  }

  reportClockStep(): void {
    for (const { feed } of this.#context.masters()) feed.reportClockStep();
  }

  /** Slots have other masters than before. */
  rerouted(): void {
    if (this.#closed) return;
    for (const [slot, route] of this.#routes) this.#reroute(slot, route);
    this.#prefixes.rerouted();
    this.#pollAstray();
  }

  retime(): void {
    if (!this.#isIdle) this.#begin();
  }

  get #isIdle(): boolean {
    return this.#routes.size === 0 && this.#prefixes.isEmpty;
  }

  #begin(): void {
    const period = (): number => this.#context.settings().heartbeatMs;
    this.#timers.every('refresh', period, () => {
      // No command would tell a client that only listens where its slots are.
      void this.#context.topology.refresh(1).then(() => {
        this.#pollAstray();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#rest();
  }

  #reroute(slot: number, route: Route): void {
    const before = route.node;
    const node = this.#context.nodeOf(slot);
    if (node === before) return;
    if (before !== undefined) {
      this.#wasServed = true;
      route.vouchedAt ??= before.feed.vouchedAt();
    }
    route.node = node;
    for (const [key, watchers] of route.watches) {
      for (const watcher of watchers) {
        before?.feed.unwatch(key, watcher);
        if (node !== undefined) node.feed.watch(key, watcher);
        else this.#tellUnserved(slot, key, watcher);
      }
    }
  }

  #tellUnserved(slot: number, key: string, watcher: KeyWatcher): void {
    this.#context.clock.nextTurn(() => {
      const route = this.#routes.get(slot);
      if (route?.node === undefined && route?.watches.get(key)?.includes(watcher))
        watcher.feed(this.#unserved());
    });
    this.#seek();
  }

  /** One for all, as long as it is the same that is wrong. */
  #unserved(error?: Error): KeyFeed {
    const link = isDenial(error) ? 'unauthorized' : this.#wasServed ? 'reconnecting' : 'connecting';
    const before = this.#unservedFeed;
    if (before?.link === link && before.error === error) return before;
    this.#unservedFeed = createKeyFeed({
      link,
      generation: this.#context.newGeneration(),
      gap: 'link',
      notifications: 'polling',
      announcing: true,
      boundMs: 0,
      error,
    });
    return this.#unservedFeed;
  }

  /** Asks again and again, until every slot that is watched has a master. */
  #seek(): void {
    if (this.#closed || this.#seeking !== undefined) return;
    const { clock, topology, settings } = this.#context;
    const pause =
      this.#failures === 0
        ? 0
        : retryPauseMs(this.#failures, isDenial(topology.failure), settings().random);
    const seeking = {};
    this.#seeking = seeking;
    this.#cancelSeeking = after(clock, pause, () => {
      void topology.refresh().then(() => {
        if (this.#seeking !== seeking) return;
        this.#seeking = undefined;
        this.rerouted();
        this.#sought();
      });
    });
  }

  #sought(): void {
    const unserved = [...this.#routes.values()].filter(({ node }) => node === undefined);
    const nowhere = !this.#prefixes.isEmpty && this.#context.masters().length === 0;
    if (unserved.length === 0 && !nowhere) {
      this.#failures = 0;
      return;
    }
    this.#failures += 1;
    const feed = this.#unserved(this.#context.topology.failure);
    for (const { watches } of unserved)
      for (const watcher of [...watches.values()].flat()) watcher.feed(feed);
    this.#seek();
  }

  #pollAstray(): void {
    const astray = [...this.#astray];
    this.#astray.clear();
    for (const key of astray) {
      const watchers = this.#routes.get(slotOf(key))?.watches.get(key);
      if (watchers === undefined) this.#prefixes.doubt(key);
      else for (const watcher of watchers) watcher.poll();
    }
  }

  #rest(): void {
    this.#timers.stop();
    this.#prefixes.close();
    this.#cancelSeeking?.();
    this.#cancelSeeking = undefined;
    this.#seeking = undefined;
    this.#failures = 0;
    this.#wasServed = false;
    this.#unservedFeed = undefined;
    this.#astray.clear();
  }
}
