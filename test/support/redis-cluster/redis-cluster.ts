import { Cluster, type ClusterOptions, type Redis } from 'ioredis';

import { slotOf } from '../../../src/redis/keys.js';
import { TopologyProxies } from '../redis-topology/topology-proxies.js';
import { eventually } from '../wait.js';
import type { ClusterNode } from './cluster-node.js';
import { agreed, AGREEMENT, introduce } from './forming.js';
import { hasSlot, isMaster, type SeenNode } from './seen-node.js';
import { SlotMove } from './slot-move.js';

/** Options of ioredis but for the shape of its replies, which is a matter of types. */
export type ClusterClientOptions = Omit<ClusterOptions, 'replyMapping' | 'redisOptions'> & {
  readonly redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>;
};

/** A cluster of our own. What changes it resolves when all nodes that answer agree on the change. */
export class RedisCluster implements AsyncDisposable {
  readonly #nodes: ClusterNode[];
  readonly #start: () => Promise<ClusterNode>;

  /** @param start - starts one more node, which nobody knows yet */
  constructor(nodes: readonly ClusterNode[], start: () => Promise<ClusterNode>) {
    this.#nodes = [...nodes];
    this.#start = start;
  }

  /** All of them, also those that are killed. The masters first, as it was started. */
  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** The hash slot of a key. */
  slotOf(key: string): number {
    return slotOf(key);
  }

  /** A key with that beginning whose slot a node has now. */
  async keyOn(node: ClusterNode, prefix = 'key'): Promise<string> {
    const seen = await this.#seen(node);
    if (seen.slots.length === 0) throw new Error(`${node.id} has no slots`);
    for (let number = 0; ; number += 1) {
      const key = `${prefix}:${String(number)}`;
      if (hasSlot(seen, this.slotOf(key))) return key;
    }
  }

  /** The masters, as the cluster sees itself now. */
  async masters(): Promise<ClusterNode[]> {
    const view = await this.#view();
    return view.filter(isMaster).flatMap(({ id }) => this.#nodes.filter((node) => node.id === id));
  }

  async replicasOf(master: ClusterNode): Promise<ClusterNode[]> {
    const view = await this.#view();
    const ids = new Set(view.filter((one) => one.masterId === master.id).map(({ id }) => id));
    return this.#nodes.filter(({ id }) => ids.has(id));
  }

  /** Who has the slot of a key now. */
  async ownerOf(key: string): Promise<ClusterNode> {
    return this.#ownerOfSlot(this.slotOf(key));
  }

  /** Waits until all nodes that answer serve, and agree who replicates whom and has which slots. */
  async settled(): Promise<void> {
    await agreed(await this.#answering());
  }

  /** `CLUSTER FAILOVER` by a replica: in agreement with its master, or with `force` without asking it. */
  async failover(replica: ClusterNode, { force = false } = {}): Promise<void> {
    const attempt = async (): Promise<void> => {
      await replica.admin.call('CLUSTER', 'FAILOVER', ...(force ? ['FORCE'] : []));
      // Redis gives a failover up that has got no votes after five seconds, and does not tell.
      const promoted = async (): Promise<boolean> => isMaster(await this.#seen(replica, replica));
      await eventually(promoted, { timeoutMs: 6_000 });
    };
    await eventually(attempt, AGREEMENT);
    await this.settled();
  }

  /** Waits until a replica has taken over from a master that was killed, suspended or cut off; gives the replica. */
  async takeover(lost: ClusterNode, key: string): Promise<ClusterNode> {
    const slot = this.slotOf(key);
    const owner = await eventually(async () => {
      const now = await this.#ownerOfSlot(slot, lost);
      if (now === lost) throw new Error('nobody has taken over yet');
      return now;
    }, AGREEMENT);
    await agreed(await this.#answering(lost));
    return owner;
  }

  /** A move of a slot, or of several, between two masters, still to be made. */
  moveOf(slots: number | readonly number[], from: ClusterNode, to: ClusterNode): SlotMove {
    return new SlotMove(typeof slots === 'number' ? [slots] : slots, from, to);
  }

  /** Moves a slot, or several, with all that they hold, while the cluster serves. */
  async migrateSlot(
    slots: number | readonly number[],
    from: ClusterNode,
    to: ClusterNode,
  ): Promise<void> {
    await moveAll(this.moveOf(slots, from, to));
    await this.settled();
  }

  /** Starts one more master, which has no slots yet. */
  async addMaster(): Promise<ClusterNode> {
    const node = await this.#start();
    const known = await this.#answering();
    this.#nodes.push(node);
    await introduce([...known, node], [node]);
    await this.settled();
    return node;
  }

  /** Moves all slots of a master to the other masters, lets everybody forget it, and stops it. */
  async removeMaster(node: ClusterNode): Promise<void> {
    const slots = (await this.#seen(node)).slots.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => first + index),
    );
    const others = (await this.masters()).filter((one) => one !== node);
    for (const [index, to] of others.entries()) {
      const share = slots.filter((slot) => slot % others.length === index);
      await moveAll(this.moveOf(share, node, to));
    }
    await this.settled();
    await this.remove(node);
  }

  /** Lets everybody forget a node that has no slots, and stops it. */
  async remove(node: ClusterNode): Promise<void> {
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    await node.stop();
    for (const { admin } of await this.#answering()) await admin.cluster('FORGET', node.id);
    await this.settled();
  }

  /** Takes all data from one master. */
  async flushMaster(node: ClusterNode): Promise<void> {
    await node.admin.flushall();
  }

  /** A client of the whole cluster; who calls it disconnects it. */
  client(options: ClusterClientOptions = {}): Cluster {
    const underTls = options.redisOptions?.tls !== undefined;
    const nodes = this.#nodes.map(({ host, port, tlsPort = port }) => ({
      host,
      port: underTls ? tlsPort : port,
    }));
    return quiet(new Cluster(nodes, { clusterRetryStrategy: () => 50, ...options }));
  }

  /** A client that reaches every node through a proxy of its own. */
  clientThrough(proxies: TopologyProxies, options: ClusterClientOptions = {}): Cluster {
    const { natMap } = proxies;
    return quiet(
      new Cluster(proxies.addresses(), { clusterRetryStrategy: () => 50, natMap, ...options }),
    );
  }

  /** Puts a proxy before each node, for {@link clientThrough}; who calls it closes them. */
  natMapThroughProxies(): Promise<TopologyProxies> {
    return TopologyProxies.before(this.#nodes);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #answering(except?: ClusterNode): Promise<ClusterNode[]> {
    const asked = this.#nodes.filter((node) => node !== except && node.server.pid !== undefined);
    const answers = await Promise.all(
      asked.map((node) =>
        node.view().then(
          () => true,
          () => false,
        ),
      ),
    );
    return asked.filter((_, index) => answers[index]);
  }

  /** As somebody sees it who answers. */
  async #view(except?: ClusterNode): Promise<SeenNode[]> {
    const [witness] = await this.#answering(except);
    if (witness === undefined) throw new Error('no node of the cluster answers');
    return witness.view();
  }

  async #seen(node: ClusterNode, witness?: ClusterNode): Promise<SeenNode> {
    const view = witness === undefined ? await this.#view() : await witness.view();
    const seen = view.find(({ id }) => id === node.id);
    if (seen === undefined) throw new Error(`the cluster does not know ${node.id}`);
    return seen;
  }

  async #ownerOfSlot(slot: number, except?: ClusterNode): Promise<ClusterNode> {
    const view = await this.#view(except);
    const owner = view.find((one) => hasSlot(one, slot));
    const node = this.#nodes.find(({ id }) => id === owner?.id);
    if (node === undefined) throw new Error(`nobody has slot ${String(slot)}`);
    return node;
  }
}

async function moveAll(move: SlotMove): Promise<void> {
  await move.open();
  await move.moveKeys();
  await move.close();
}

/** Tests break links on purpose. */
function quiet(client: Cluster): Cluster {
  client.on('error', () => {});
  client.on('+node', handleAsking);
  return client;
}

/**
 * ioredis sends ASKING before a redirected command and drops the promise. A node whose connection closes at that moment (it is cut
 * off, or has no slots yet and is forgotten with the next CLUSTER SLOTS) rejects it; the command itself rejects or is sent again.
 */
function handleAsking(node: Redis): void {
  const asking: () => Promise<'OK'> = node.asking.bind(node);
  node.asking = () => {
    const reply = asking();
    reply.catch(() => {});
    return reply;
  };
}
