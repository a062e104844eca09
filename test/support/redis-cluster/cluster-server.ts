import type { Redis } from 'ioredis';

import { connect, disconnect } from '../redis-clients.js';
import type { RedisServer } from '../redis-server/index.js';
import { untilReplicated } from '../redis-topology/replicated.js';
import { parseClusterServers, type SeenServer } from './seen-server.js';

/** What a {@link ClusterServer} is made of. */
export interface ClusterServerSetup {
  readonly process: RedisServer;
  /** Where servers talk to each other. */
  readonly busPort: number;
  /** Of connections under TLS, where the cluster has any. */
  readonly tlsPort: number | undefined;
  readonly password: string | undefined;
}

/** One server of a cluster. Kill, suspend and restart it by its `process`. */
export class ClusterServer {
  readonly process: RedisServer;
  readonly busPort: number;
  readonly tlsPort: number | undefined;
  /** The name by which the cluster knows it. Stays the same over a restart. */
  readonly id: string;
  /** A connection for the test's own commands; broken links are made again. */
  readonly admin: Redis;

  private constructor({ process, busPort, tlsPort }: ClusterServerSetup, admin: Redis, id: string) {
    this.process = process;
    this.busPort = busPort;
    this.tlsPort = tlsPort;
    this.admin = admin;
    this.id = id;
  }

  /** Takes a server that has just been started. */
  static async of(setup: ClusterServerSetup): Promise<ClusterServer> {
    const { process, password } = setup;
    const admin = connect(process, {
      // A suspended server must not hold up who asks around.
      commandTimeout: 2_000,
      maxRetriesPerRequest: 0,
      ...(password !== undefined && { password }),
    });
    return new ClusterServer(setup, admin, await admin.cluster('MYID'));
  }

  get host(): string {
    return this.process.host;
  }

  get port(): number {
    return this.process.port;
  }

  /** All servers as this one sees them. */
  async view(): Promise<SeenServer[]> {
    return parseClusterServers(String(await this.admin.cluster('NODES')));
  }

  /** Whether it serves, as far as it knows. */
  async isOk(): Promise<boolean> {
    return /^cluster_state:ok/m.test(await this.admin.cluster('INFO'));
  }

  /** Whether it replicates that master right now. */
  async follows(master: ClusterServer): Promise<boolean> {
    const info = await this.admin.info('replication');
    return info.includes(`master_port:${String(master.port)}`) && info.includes('link_status:up');
  }

  /** Waits until its replicas have all that it has. */
  replicated(): Promise<void> {
    return untilReplicated(this.admin);
  }

  async stop(): Promise<void> {
    await disconnect(this.admin);
    await this.process.stop();
  }
}
