import type { Clock } from '../../time/clock.js';
import type { Observation } from '../../backend/backend.js';
import { UnavailableError } from '../../errors.js';
import { Pauses } from '../../time/pauses.js';
import { withDeadline } from '../../time/timers.js';
import type { CommandSession } from '../commands/channel.js';
import { readFailure, RedirectedError } from '../reply-errors.js';
import { slotOf } from '../keys.js';
import { Server, type ServerContext } from './server.js';
import type { CommandConnection } from '../connection/connection.js';
import type { Servers } from './servers.js';
import { asking } from './asking-connection.js';
import { clusterKeys } from './cluster-keys.js';
import { ClusterFeed } from './cluster-feed.js';
import type { ClusterTemplate } from '../client/cluster-template.js';
import { ClusterTopology } from './cluster-topology.js';
import { askForMoves, askForView } from './cluster-view.js';
import { ServerRegistry } from './registry.js';
import { parseAddress, type Address } from '../client/address.js';

/** The destination of a command. */
interface Target {
  readonly server: Server;
  readonly address: Address;
  /** The slot is moving there. */
  readonly asking: boolean;
}

type Use<R> = (target: Target) => Promise<R>;

/** Redirections that are followed without a pause: one for a slot that has moved, one more for a key that is moving. */
const AT_ONCE = 2;
/** Pause before a command that no server could serve is repeated: at least, the random part, and the largest multiple. */
const LATER_MS = { least: 10, spread: 40, most: 4 };
/** Numbers tried as hash tags to find one in a slot of a server. A server with one slot among 16,384 needs no keys of ours. */
const TAGS_TRIED = 1_000;

/** The masters of a cluster: which of them has a key, and how to follow the key to another one. */
export class ClusterServers implements Servers {
  readonly feed: ClusterFeed;
  readonly #template: ClusterTemplate;
  readonly #context: ServerContext;
  readonly #clock: Clock;
  readonly #topology: ClusterTopology;
  readonly #servers: ServerRegistry;
  readonly #pauses: Pauses;

  constructor(template: ClusterTemplate, context: ServerContext) {
    this.#template = template;
    this.#context = context;
    this.#clock = context.settings().clock;
    this.#pauses = new Pauses(this.#clock);
    this.#topology = new ClusterTopology({
      clock: this.#clock,
      candidates: () => this.#candidates(),
      ask: async (address) => {
        const view = await this.#ask(address, askForView);
        // A server outside of any cluster reports no slots.
        if (view.ranges.length === 0)
          throw new UnavailableError('the server is not part of a cluster');
        return view;
      },
      reached: (address) => template.reached(address),
      failed: context.connectFailed,
      reported: (changed) => {
        if (changed) this.feed.rerouted();
        this.#servers.retire();
      },
    });
    this.#servers = new ServerRegistry(
      this.#clock,
      (name) => this.#topology.masters.has(name),
      (address) =>
        new Server(template.server(address), context, {
          readsTogether: false,
          ownKey: (kind) => this.#ownKey(kind, address.name),
          linkLost: () => void this.#topology.refresh(),
        }),
    );
    this.feed = new ClusterFeed({
      clock: this.#clock,
      settings: context.settings,
      newGeneration: context.newGeneration,
      topology: this.#topology,
      serverOf: (slot) => this.#owner(slot)?.server,
      masters: () => this.#masters(),
      redirected: (key, maxBytes, error) =>
        this.#follow(
          slotOf(key),
          error,
          (target) => this.#readAt(target, key, maxBytes),
          this.#owner(slotOf(key)),
        ),
    });
  }

  withSession<R>(key: string, use: (session: CommandSession) => Promise<R>): Promise<R> {
    return this.#at(slotOf(key), (target) =>
      target.server.withSession((one) => (target.asking ? this.#askingAt(one, use) : use(one))),
    );
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#at(slotOf(key), (target) =>
      target.asking ? this.#readAt(target, key, maxBytes) : target.server.read(key, maxBytes),
    );
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return clusterKeys(prefix, {
      masters: async () => {
        if (this.#topology.masters.size === 0) await this.#refreshed();
        if (this.#topology.masters.size === 0) throw this.#topology.failure;
        return this.#topology.masters;
      },
      server: (address) => {
        this.#servers.keepAlive(address);
        return this.#servers.get(address);
      },
      reached: (address) => this.#template.reached(address),
      moves: (address) => this.#ask(address, askForMoves),
      generation: () => this.#topology.generation,
      refreshed: () => this.#refreshed(),
    });
  }

  setCanAnnounce(canAnnounce: boolean): void {
    for (const { feed } of this.#servers.all()) feed.setCanAnnounce(canAnnounce);
  }

  applySettings(): void {
    this.feed.applySettings();
    for (const { feed } of this.#servers.all()) feed.applySettings();
  }

  async close(timeoutMs: number): Promise<void> {
    this.feed.close();
    this.#topology.close();
    this.#pauses.end();
    await this.#servers.close(timeoutMs);
  }

  /** Synchronous up to the command where the master of the slot is known. */
  async #at<R>(slot: number, use: Use<R>): Promise<R> {
    const target = this.#owner(slot);
    try {
      return await (target === undefined ? this.#located(slot).then(use) : use(target));
    } catch (error) {
      return this.#follow(slot, error, use, target);
    }
  }

  /**
   * Follows redirections, or the slot to its present master, until a server serves the command or time is up.
   *
   * @param tried - the source of `error`
   */
  async #follow<R>(slot: number, error: unknown, use: Use<R>, tried?: Target): Promise<R> {
    const until = this.#clock.monotonic() + this.#context.settings().replyTimeoutMs;
    let failure = error;
    let last = tried;
    for (let redirections = 0; ; redirections += 1) {
      // Servers that have not yet learned of a change may redirect to and fro.
      const names = failure instanceof RedirectedError && failure.address !== undefined;
      if (redirections >= AT_ONCE)
        await this.#pauses.pause(
          laterMs(this.#context.settings().random, names ? redirections - AT_ONCE : 0),
        );
      const next = await this.#next(slot, failure, last);
      if (next === undefined) throw failure;
      try {
        return await use(next);
      } catch (again) {
        if (this.#clock.monotonic() >= until) throw again;
        failure = again;
        last = next;
      }
    }
  }

  /** The next destination after a failure; `undefined` when none would help. */
  async #next(
    slot: number,
    error: unknown,
    tried: Target | undefined,
  ): Promise<Target | undefined> {
    // Only a command that certainly had no effect is repeated.
    if (this.#pauses.ended || !(error instanceof UnavailableError)) return undefined;
    if (!(error instanceof RedirectedError)) {
      await this.#refreshed();
      const owner = this.#owner(slot);
      return owner?.address.name === tried?.address.name ? undefined : owner;
    }
    const address = this.#addressIn(error, tried);
    if (address !== undefined && error.kind === 'ask') {
      this.#servers.keepAlive(address);
      return this.#target(address, true);
    }
    if (address !== undefined) {
      this.#topology.moved(slot, address);
      void this.#topology.refresh();
      return this.#target(address);
    }
    await this.#pauses.pause(laterMs(this.#context.settings().random));
    // With TRYAGAIN the command stays at its server, and waits for the rest of the slot's keys.
    if (error.kind === 'later') await this.#refreshed();
    return this.#located(slot);
  }

  #addressIn({ address }: RedirectedError, tried: Target | undefined): Address | undefined {
    const from = tried?.address.host ?? '';
    const named = address === undefined ? undefined : parseAddress(address, from);
    return named?.host ? this.#template.reached(named) : undefined;
  }

  /** @throws UnavailableError, RefusedError */
  async #located(slot: number): Promise<Target> {
    if (this.#owner(slot) === undefined) await this.#refreshed();
    const owner = this.#owner(slot);
    if (owner === undefined) throw this.#topology.failure;
    return owner;
  }

  #masters(): Server[] {
    return [...this.#topology.masters.values()].map((address) => this.#servers.get(address));
  }

  #owner(slot: number): Target | undefined {
    const address = this.#topology.owner(slot);
    return address && this.#target(address);
  }

  #target(address: Address, asks = false): Target {
    return { server: this.#servers.get(address), address, asking: asks };
  }

  #readAt({ server, asking: asks }: Target, key: string, maxBytes: number): Promise<Observation> {
    const read = (one: CommandSession): Promise<Observation> => server.readOver(one, key, maxBytes);
    return server.withSession((one) => (asks ? this.#askingAt(one, read) : read(one)));
  }

  #askingAt<R>(session: CommandSession, use: (session: CommandSession) => Promise<R>): Promise<R> {
    return asking(session, this.#clock, use);
  }

  /** A key in one of the present slots of the server. */
  #ownKey(kind: 'epoch' | 'probe', name: string): string | undefined {
    for (let number = 0; number < TAGS_TRIED; number += 1) {
      const tag = String(number);
      if (this.#topology.owner(slotOf(tag))?.name === name)
        return this.#context.names.own(kind, tag);
    }
    return undefined;
  }

  async #ask<R>(
    address: Address,
    ask: (link: CommandConnection, from: string) => Promise<R>,
  ): Promise<R> {
    try {
      const { connection } = await this.#servers.get(address).commands.get();
      return await ask(connection, address.host);
    } catch (error) {
      throw readFailure(error);
    }
  }

  /** Connected servers first, in random order, so that a server with a wrong view is not always the only one that is asked. */
  #candidates(): readonly Address[] {
    const { masters, replicas } = this.#topology;
    const { random } = this.#context.settings();
    const isOpen = ({ name }: Address): boolean => this.#servers.isOpen(name);
    const known = [...masters.values()]
      .map((address) => ({ address, rank: random() + (isOpen(address) ? 0 : 1) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ address }) => address);
    const all = [...known, ...this.#template.seeds(), ...replicas];
    return [...new Map(all.map((address) => [address.name, address])).values()];
  }

  /** Resolves when a server has reported the cluster, or after the time of one reply. */
  async #refreshed(): Promise<void> {
    const { replyTimeoutMs } = this.#context.settings();
    const late = (): Error => new UnavailableError('no server reported the cluster in time');
    await withDeadline(this.#clock, this.#topology.refresh(), replyTimeoutMs, late).catch(
      () => undefined,
    );
  }
}

/** The pause before a command that no server could serve is repeated. */
function laterMs(random: () => number, timesBefore = 0): number {
  return (LATER_MS.least + random() * LATER_MS.spread) * Math.min(timesBefore + 1, LATER_MS.most);
}
