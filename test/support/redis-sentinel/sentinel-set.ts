import { Redis } from 'ioredis';

import { untilReplicated } from '../redis-topology/replicated.js';
import { TopologyProxies } from '../redis-topology/topology-proxies.js';
import type { ClientOptions } from '../redis-clients.js';
import { eventually } from '../wait.js';
import type { ReplicaServer, SentinelServer } from './sentinel-server.js';

/** How long an election may take on a busy machine. */
const FAILOVER = { timeoutMs: 30_000 } as const;

/** A master with replicas and the sentinels that watch over them, all our own. */
export class SentinelSet implements AsyncDisposable {
  /** What the sentinels call the master, whoever it is. */
  readonly name: string;
  /** The master that it was started with, then its replicas. */
  readonly servers: readonly ReplicaServer[];
  readonly sentinels: readonly SentinelServer[];

  constructor(
    name: string,
    servers: readonly ReplicaServer[],
    sentinels: readonly SentinelServer[],
  ) {
    this.name = name;
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /** Whom the sentinels call the master now. */
  async master(): Promise<ReplicaServer> {
    return this.waitForMaster();
  }

  async replicas(): Promise<ReplicaServer[]> {
    const master = await this.master();
    return this.servers.filter((server) => server !== master);
  }

  /** Waits until all sentinels that answer name one master, which is not `not`, and which says so itself. */
  async waitForMaster(not?: ReplicaServer): Promise<ReplicaServer> {
    return eventually(async () => {
      const named = await Promise.all(this.sentinels.map((one) => one.masterPort(this.name)));
      const ports = new Set(named.filter((port) => port !== undefined));
      const [port] = ports;
      const server = this.servers.find((one) => one.port === port);
      if (ports.size !== 1 || server === undefined || server === not) {
        throw new Error(`the sentinels name ${[...ports].join(', ') || 'nobody'}`);
      }
      if ((await server.role()) !== 'master') throw new Error(`${String(port)} is no master yet`);
      return server;
    }, FAILOVER);
  }

  /** `SENTINEL FAILOVER`: without anybody being down. Resolves with the new master. */
  async failover(): Promise<ReplicaServer> {
    const before = await this.master();
    // Refused while an earlier failover is being finished.
    await eventually(
      () => this.#running[0]?.admin.call('SENTINEL', 'FAILOVER', this.name),
      FAILOVER,
    );
    return this.waitForMaster(before);
  }

  /**
   * Waits until the last failover is at its end and all other servers that run replicate the master. Before that, sentinels may take
   * half a minute to notice the next fault: who leads a failover has no eye for another.
   */
  async settled(): Promise<ReplicaServer> {
    return eventually(async () => {
      const known = await Promise.all(this.#running.map((one) => one.knows(this.name)));
      if (known.some(({ failsOver }) => failsOver)) throw new Error('a failover is under way');
      const master = await this.master();
      const others = this.servers.filter(
        (server) => server !== master && server.process.pid !== undefined,
      );
      const follow = await Promise.all(others.map((server) => server.follows(master)));
      if (follow.includes(false)) throw new Error('not all replicas follow the master');
      return master;
    }, FAILOVER);
  }

  /** Waits until the replicas that are linked have all that a master has written so far. */
  async replicated(master: ReplicaServer): Promise<void> {
    await untilReplicated(master.admin);
  }

  /** A client that asks the sentinels for the master; who calls it disconnects it. */
  client(options: ClientOptions = {}): Redis {
    const sentinels = this.sentinels.map(({ host, port }) => ({ host, port }));
    const client = new Redis({
      sentinels,
      name: this.name,
      retryStrategy: () => 50,
      sentinelRetryStrategy: () => 50,
      maxRetriesPerRequest: 1,
      autoResubscribe: false,
      ...options,
    });
    // Tests break links on purpose.
    client.on('error', () => {});
    return client;
  }

  /** Puts a proxy before each server, not before sentinels, for a client with `natMap`; who calls it closes them. */
  natMapThroughProxies(): Promise<TopologyProxies> {
    return TopologyProxies.before(this.servers);
  }

  async stop(): Promise<void> {
    // The sentinels first, or they begin a failover.
    await Promise.all(this.sentinels.map((one) => one.stop()));
    await Promise.all(this.servers.map((one) => one.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  get #running(): SentinelServer[] {
    return this.sentinels.filter(({ process }) => process.pid !== undefined);
  }
}
