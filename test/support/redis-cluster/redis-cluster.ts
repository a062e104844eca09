import { Cluster, type ClusterOptions, type Redis } from 'ioredis';

import { slotOf } from '../../../src/redis/keys.js';
import { TopologyProxies } from '../redis-topology/topology-proxies.js';
import { eventually } from '../wait.js';
import type { ClusterServer } from './cluster-server.js';
import { agreed, AGREEMENT, introduce } from './forming.js';
import { hasSlot, isMaster, type SeenServer } from './seen-server.js';
import { SlotMove } from './slot-move.js';

/** Options of ioredis but for the shape of its replies, which is a matter of types. */
export type ClusterClientOptions = Omit<ClusterOptions, 'replyMapping' | 'redisOptions'> & {
  readonly redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>;
};

/** A cluster of our own. What changes it resolves when all servers that answer agree on the change. */
export class RedisCluster implements AsyncDisposable {
  readonly #servers: ClusterServer[];
  readonly #start: () => Promise<ClusterServer>;

  /** @param start - starts one more server, which nobody knows yet */
  constructor(servers: readonly ClusterServer[], start: () => Promise<ClusterServer>) {
    this.#servers = [...servers];
    this.#start = start;
  }

  /** All of them, also those that are killed. The masters first, as it was started. */
  get servers(): readonly ClusterServer[] {
    return this.#servers;
  }

  /** The hash slot of a key. */
  slotOf(key: string): number {
    return slotOf(key);
  }

  /** A key with that beginning whose slot a server has now. */
  async keyOn(server: ClusterServer, prefix = 'key'): Promise<string> {
    const seen = await this.#seen(server);
    if (seen.slots.length === 0) throw new Error(`${server.id} has no slots`);
    for (let number = 0; ; number += 1) {
      const key = `${prefix}:${String(number)}`;
      if (hasSlot(seen, this.slotOf(key))) return key;
    }
  }

  /** The masters, as the cluster sees itself now. */
  async masters(): Promise<ClusterServer[]> {
    const view = await this.#view();
    return view
      .filter(isMaster)
      .flatMap(({ id }) => this.#servers.filter((server) => server.id === id));
  }

  async replicasOf(master: ClusterServer): Promise<ClusterServer[]> {
    const view = await this.#view();
    const ids = new Set(view.filter((one) => one.masterId === master.id).map(({ id }) => id));
    return this.#servers.filter(({ id }) => ids.has(id));
  }

  /** Who has the slot of a key now. */
  async ownerOf(key: string): Promise<ClusterServer> {
    return this.#ownerOfSlot(this.slotOf(key));
  }

  /** Waits until all servers that answer serve, and agree who replicates whom and has which slots. */
  async settled(): Promise<void> {
    await agreed(await this.#answering());
  }

  /** `CLUSTER FAILOVER` by a replica: in agreement with its master, or with `force` without asking it. */
  async failover(replica: ClusterServer, { force = false } = {}): Promise<void> {
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
  async takeover(lost: ClusterServer, key: string): Promise<ClusterServer> {
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
  moveOf(slots: number | readonly number[], from: ClusterServer, to: ClusterServer): SlotMove {
    return new SlotMove(typeof slots === 'number' ? [slots] : slots, from, to);
  }

  /** Moves a slot, or several, with all that they hold, while the cluster serves. */
  async migrateSlot(
    slots: number | readonly number[],
    from: ClusterServer,
    to: ClusterServer,
  ): Promise<void> {
    await moveAll(this.moveOf(slots, from, to));
    await this.settled();
  }

  /** Starts one more master, which has no slots yet. */
  async addMaster(): Promise<ClusterServer> {
    const server = await this.#start();
    const known = await this.#answering();
    this.#servers.push(server);
    await introduce([...known, server], [server]);
    await this.settled();
    return server;
  }

  /** Moves all slots of a master to the other masters, lets everybody forget it, and stops it. */
  async removeMaster(server: ClusterServer): Promise<void> {
    const slots = (await this.#seen(server)).slots.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => first + index),
    );
    const others = (await this.masters()).filter((one) => one !== server);
    for (const [index, to] of others.entries()) {
      const share = slots.filter((slot) => slot % others.length === index);
      await moveAll(this.moveOf(share, server, to));
    }
    await this.settled();
    await this.remove(server);
  }

  /** Lets everybody forget a server that has no slots, and stops it. */
  async remove(server: ClusterServer): Promise<void> {
    this.#servers.splice(this.#servers.indexOf(server), 1);
    await server.stop();
    for (const { admin } of await this.#answering()) await admin.cluster('FORGET', server.id);
    await this.settled();
  }

  /** Takes all data from one master. */
  async flushMaster(server: ClusterServer): Promise<void> {
    await server.admin.flushall();
  }

  /** A client of the whole cluster; who calls it disconnects it. */
  client(options: ClusterClientOptions = {}): Cluster {
    const underTls = options.redisOptions?.tls !== undefined;
    const servers = this.#servers.map(({ host, port, tlsPort = port }) => ({
      host,
      port: underTls ? tlsPort : port,
    }));
    return quiet(new Cluster(servers, { clusterRetryStrategy: () => 50, ...options }));
  }

  /** A client that reaches every server through a proxy of its own. */
  clientThrough(proxies: TopologyProxies, options: ClusterClientOptions = {}): Cluster {
    const { natMap } = proxies;
    return quiet(
      new Cluster(proxies.addresses(), { clusterRetryStrategy: () => 50, natMap, ...options }),
    );
  }

  /** Puts a proxy before each server, for {@link clientThrough}; who calls it closes them. */
  natMapThroughProxies(): Promise<TopologyProxies> {
    return TopologyProxies.before(this.#servers);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #answering(except?: ClusterServer): Promise<ClusterServer[]> {
    const asked = this.#servers.filter(
      (server) => server !== except && server.process.pid !== undefined,
    );
    const answers = await Promise.all(
      asked.map((server) =>
        server.view().then(
          () => true,
          () => false,
        ),
      ),
    );
    return asked.filter((_, index) => answers[index]);
  }

  /** As somebody sees it who answers. */
  async #view(except?: ClusterServer): Promise<SeenServer[]> {
    const [witness] = await this.#answering(except);
    if (witness === undefined) throw new Error('no server of the cluster answers');
    return witness.view();
  }

  async #seen(server: ClusterServer, witness?: ClusterServer): Promise<SeenServer> {
    const view = witness === undefined ? await this.#view() : await witness.view();
    const seen = view.find(({ id }) => id === server.id);
    if (seen === undefined) throw new Error(`the cluster does not know ${server.id}`);
    return seen;
  }

  async #ownerOfSlot(slot: number, except?: ClusterServer): Promise<ClusterServer> {
    const view = await this.#view(except);
    const owner = view.find((one) => hasSlot(one, slot));
    const server = this.#servers.find(({ id }) => id === owner?.id);
    if (server === undefined) throw new Error(`nobody has slot ${String(slot)}`);
    return server;
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
 * ioredis sends ASKING before a redirected command and drops the promise. A server whose connection closes at that moment (it is cut
 * off, or has no slots yet and is forgotten with the next CLUSTER SLOTS) rejects it; the command itself rejects or is sent again.
 */
function handleAsking(server: Redis): void {
  const asking: () => Promise<'OK'> = server.asking.bind(server);
  server.asking = () => {
    const reply = asking();
    reply.catch(() => {});
    return reply;
  };
}
