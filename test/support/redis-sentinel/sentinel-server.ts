import type { Redis } from 'ioredis';

import { connect, disconnect } from '../redis-clients.js';
import type { RedisServer } from '../redis-server/index.js';

/** A server process with a connection for the test's own commands. Kill, suspend and restart it by its `process`. */
class Server {
  readonly process: RedisServer;
  readonly admin: Redis;

  constructor(server: RedisServer, password?: string) {
    this.process = server;
    this.admin = connect(server, {
      // A suspended server must not hold up who asks around.
      commandTimeout: 1_000,
      maxRetriesPerRequest: 0,
      ...(password !== undefined && { password }),
    });
  }

  get host(): string {
    return this.process.host;
  }

  get port(): number {
    return this.process.port;
  }

  async stop(): Promise<void> {
    await disconnect(this.admin);
    await this.process.stop();
  }
}

/** A master or a replica, as it comes. */
export class ReplicaServer extends Server {
  /** What it takes itself for; `undefined` when it does not answer. */
  async role(): Promise<'master' | 'slave' | undefined> {
    const reply = await this.admin.role().catch(() => undefined);
    const [role] = reply ?? [];
    return role === 'master' || role === 'slave' ? role : undefined;
  }

  /** Whether it replicates that master right now. */
  async follows(master: ReplicaServer): Promise<boolean> {
    const info = await this.admin.info('replication').catch(() => '');
    return (
      info.includes(`master_port:${String(master.port)}\r`) &&
      info.includes('master_link_status:up')
    );
  }
}

/** One sentinel. */
export class SentinelServer extends Server {
  /** The port of whom it calls the master; `undefined` when it does not answer. */
  async masterPort(name: string): Promise<number | undefined> {
    if (this.process.pid === undefined) return undefined;
    const reply = await this.admin
      .call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
      .catch(() => undefined);
    return Array.isArray(reply) ? Number(reply[1]) : undefined;
  }

  /** What it knows of the set. */
  async knows(name: string): Promise<Knowledge> {
    const reply: unknown = await this.admin.call('SENTINEL', 'MASTER', name);
    const flat = Array.isArray(reply) ? reply.map(String) : Object.entries(reply as object).flat();
    const field = (of: string): string => String(flat[flat.indexOf(of) + 1]);
    return {
      sentinels: Number(field('num-other-sentinels')),
      replicas: Number(field('num-slaves')),
      failsOver: field('flags').includes('failover_in_progress'),
    };
  }
}

/** What one sentinel knows. */
interface Knowledge {
  /** Other sentinels. */
  readonly sentinels: number;
  readonly replicas: number;
  /** It leads a failover that is not at its end. */
  readonly failsOver: boolean;
}
