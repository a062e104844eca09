import type { Clock } from '../../clock.js';
import type { Observation } from '../../credential-backend.js';
import { ClosedError, UnavailableError } from '../../errors.js';
import type { Commanding } from '../command-link.js';
import { readFailure, RedirectedError } from '../redis-errors.js';
import { ownKey, slotOf } from '../redis-keys.js';
import { RedisNode, type RedisNodeContext } from '../redis-node.js';
import type { RedisNodes } from '../redis-nodes.js';
import { asking } from './asking-link.js';
import { ClusterFeed } from './cluster-feed.js';
import type { ClusterTemplate } from './cluster-template.js';
import { ClusterTopology } from './cluster-topology.js';
import { askForView, type ClusterView } from './cluster-view.js';
import { parseAddress, type NodeAddress } from './node-address.js';
import { askForOwnSlots, type OwnSlots } from './own-slots.js';
import { Pauses } from './pauses.js';

/** Where to go with a command. */
interface Target {
  readonly node: RedisNode;
  readonly address: NodeAddress;
  /** The slot is on its way there. */
  readonly asking: boolean;
}

type Use<R> = (target: Target) => Promise<R>;

/** Pause before a command is repeated that no node could serve, in milliseconds: at least, and beyond that at random. */
const LATER_MS = { least: 10, spread: 40 };
/** More than it takes to follow a slot that has moved, and is about to move again. */
const HOPS_AT_ONCE = 4;
/** How many numbers are tried to find one whose slot a node has. A node with one slot among 16,384 needs no keys of ours. */
const TAGS_TRIED = 1_000;
const RETIRED_MS = 2_000;
/** How often all keys are listed anew because slots have moved meanwhile. */
const KEYS_ROUNDS = 10;

/** The masters of a cluster: which of them has a key, and how to get there when that has changed. */
export class ClusterNodes implements RedisNodes {
  readonly feed: ClusterFeed;
  readonly #template: ClusterTemplate;
  readonly #context: RedisNodeContext;
  readonly #clock: Clock;
  readonly #topology: ClusterTopology;
  /** Those that were needed so far, by name. */
  readonly #nodes = new Map<string, RedisNode>();
  readonly #pauses: Pauses;
  #closed = false;

  constructor(template: ClusterTemplate, context: RedisNodeContext) {
    this.#template = template;
    this.#context = context;
    this.#clock = context.settings().clock;
    this.#pauses = new Pauses(this.#clock);
    this.#topology = new ClusterTopology({
      clock: this.#clock,
      candidates: () => this.#candidates(),
      ask: (address) => this.#ask(address),
      reached: (address) => template.reached(address),
      seen: (changed) => {
        if (changed) this.feed.rerouted();
        this.#retire();
      },
    });
    this.feed = new ClusterFeed({
      clock: this.#clock,
      settings: context.settings,
      newGeneration: context.newGeneration,
      topology: this.#topology,
      nodeOf: (slot) => this.#owner(slot)?.node,
      masters: () => this.#masters(),
      elsewhere: (key, maxBytes, error) =>
        this.#elsewhere(slotOf(key), error, (target) => this.#look(target, key, maxBytes)),
    });
  }

  commanding<R>(key: string, use: (commanding: Commanding) => Promise<R>): Promise<R> {
    return this.#at(slotOf(key), (target) =>
      target.node.commanding((one) => (target.asking ? this.#asking(one, use) : use(one))),
    );
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#at(slotOf(key), (target) =>
      target.asking ? this.#look(target, key, maxBytes) : target.node.observe(key, maxBytes),
    );
  }

  async *keys(prefix: string): AsyncGenerator<readonly string[]> {
    let before = await this.#arrangement();
    let passes = 0;
    for (let round = 1; ; round += 1) {
      // The other way round each time: whichever way a key is moved, in one of two passes it meets who looks for it.
      const masters = this.#masters();
      for (const node of round % 2 === 0 ? masters.reverse() : masters) yield* node.keys(prefix);
      await this.#topology.refresh(1);
      const now = await this.#arrangement();
      passes = now.text === before.text ? passes + 1 : 0;
      if (passes >= (now.moving ? 2 : 1)) return;
      if (round === KEYS_ROUNDS)
        throw new UnavailableError('slots kept moving while keys were listed');
      before = now;
    }
  }

  learned(announcing: boolean): void {
    for (const { feed } of this.#nodes.values()) feed.learned(announcing);
  }

  retime(): void {
    this.feed.retime();
    for (const { feed } of this.#nodes.values()) feed.retime();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.feed.close();
    this.#pauses.endAll();
    await Promise.all([...this.#nodes.values()].map((node) => node.close(timeoutMs)));
  }

  /** At once where the master of the slot is known. */
  async #at<R>(slot: number, use: Use<R>): Promise<R> {
    const target = this.#owner(slot);
    try {
      return await (target === undefined ? this.#located(slot).then(use) : use(target));
    } catch (error) {
      return this.#elsewhere(slot, error, use, target);
    }
  }

  /**
   * Goes where a refusal says, or where the slot is by now, until someone serves it or time is up.
   *
   * @param tried - where `error` came from
   */
  async #elsewhere<R>(slot: number, error: unknown, use: Use<R>, tried?: Target): Promise<R> {
    const until = this.#clock.monotonic() + this.#context.settings().replyTimeoutMs;
    let failure = error;
    let last = tried;
    for (let hop = 1; ; hop += 1) {
      const next = await this.#next(slot, failure, last);
      if (next === undefined) throw failure;
      // Two that each name the other would be asked as fast as they answer.
      if (hop > HOPS_AT_ONCE) await this.#later(Math.min(hop - HOPS_AT_ONCE, 4));
      try {
        return await use(next);
      } catch (again) {
        if (this.#clock.monotonic() >= until) throw again;
        failure = again;
        last = next;
      }
    }
  }

  /** Where to go after a failure; `undefined` when that would not help. */
  async #next(
    slot: number,
    error: unknown,
    tried: Target | undefined,
  ): Promise<Target | undefined> {
    // Only what surely did nothing is repeated.
    if (this.#closed || !(error instanceof UnavailableError)) return undefined;
    if (!(error instanceof RedirectedError)) {
      await this.#topology.refresh();
      const owner = this.#owner(slot);
      return owner?.address.name === tried?.address.name ? undefined : owner;
    }
    const address = this.#addressIn(error, tried);
    if (address !== undefined && error.kind === 'ask') return this.#target(address, true);
    if (address !== undefined) {
      this.#topology.moved(slot, address);
      void this.#topology.refresh();
      return this.#target(address);
    }
    await this.#later();
    await this.#topology.refresh();
    return this.#located(slot);
  }

  #addressIn({ address }: RedirectedError, tried: Target | undefined): NodeAddress | undefined {
    const from = tried?.address.host ?? '';
    const named = address === undefined ? undefined : parseAddress(address, from);
    return named && this.#template.reached(named);
  }

  /** @throws UnavailableError, RefusedError */
  async #located(slot: number): Promise<Target> {
    if (this.#owner(slot) === undefined) await this.#topology.refresh();
    const owner = this.#owner(slot);
    if (owner === undefined) throw this.#topology.failure;
    return owner;
  }

  /** Which master has which slots, by the word of each. */
  async #arrangement(): Promise<OwnSlots> {
    if (this.#topology.masters.size === 0) await this.#topology.refresh();
    const { masters, version } = this.#topology;
    if (masters.size === 0) throw this.#topology.failure;
    const all = await Promise.all(
      [...masters.values()].map(async (address) => {
        const { text, moving } = await this.#node(address).commanding(({ link }) =>
          askForOwnSlots(link).catch((error: unknown) => {
            throw readFailure(error);
          }),
        );
        return { text: `${address.name} ${text}`, moving };
      }),
    );
    return {
      text: [String(version), ...all.map(({ text }) => text)].join('\n'),
      moving: all.some(({ moving }) => moving),
    };
  }

  #masters(): RedisNode[] {
    return [...this.#topology.masters.values()].map((address) => this.#node(address));
  }

  #owner(slot: number): Target | undefined {
    const address = this.#topology.owner(slot);
    return address && this.#target(address);
  }

  #target(address: NodeAddress, asks = false): Target {
    return { node: this.#node(address), address, asking: asks };
  }

  #node(address: NodeAddress): RedisNode {
    const { name } = address;
    let node = this.#nodes.get(name);
    if (node === undefined) {
      if (this.#closed) throw new ClosedError();
      node = new RedisNode(this.#template.node(address), this.#context, {
        readsTogether: false,
        ownKey: (kind) => this.#ownKey(kind, name),
        down: () => void this.#topology.refresh(),
      });
      this.#nodes.set(name, node);
    }
    return node;
  }

  #look({ node, asking: asks }: Target, key: string, maxBytes: number): Promise<Observation> {
    const look = (one: Commanding): Promise<Observation> => node.look(one, key, maxBytes);
    return node.commanding((one) => (asks ? this.#asking(one, look) : look(one)));
  }

  #asking<R>(commanding: Commanding, use: (commanding: Commanding) => Promise<R>): Promise<R> {
    return asking(commanding, this.#clock, this.#context.newName, use);
  }

  /** A key in one of the slots that the node has now. */
  #ownKey(kind: 'epoch' | 'probe', name: string): string | undefined {
    for (let number = 0; number < TAGS_TRIED; number += 1) {
      const tag = String(number);
      if (this.#topology.owner(slotOf(tag))?.name === name)
        return ownKey(kind, this.#context.process, tag);
    }
    return undefined;
  }

  async #ask(address: NodeAddress): Promise<ClusterView> {
    try {
      const { link } = await this.#node(address).commands.get();
      return await askForView(link, address.host);
    } catch (error) {
      throw readFailure(error);
    }
  }

  /** Those that are connected to first, in any order, so that one which is wrong is not the only one that is asked. */
  #candidates(): readonly NodeAddress[] {
    const { masters, replicas } = this.#topology;
    const { random } = this.#context.settings();
    const isOpen = ({ name }: NodeAddress): boolean =>
      this.#nodes.get(name)?.commands.current?.link.open === true;
    const known = [...masters.values()]
      .map((address) => ({ address, rank: random() + (isOpen(address) ? 0 : 1) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ address }) => address);
    const all = [...known, ...this.#template.seeds(), ...replicas];
    return [...new Map(all.map((address) => [address.name, address])).values()];
  }

  /** Lets go of those that are no masters: not any more, or only asked on the way. */
  #retire(): void {
    for (const [name, node] of this.#nodes) {
      if (this.#topology.masters.has(name)) continue;
      this.#nodes.delete(name);
      // What was sent to it may still be answered.
      void node.close(RETIRED_MS);
    }
  }

  #later(times = 1): Promise<void> {
    const random = this.#context.settings().random();
    return this.#pauses.wait(times * (LATER_MS.least + random * LATER_MS.spread));
  }
}
