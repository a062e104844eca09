import { startAll, startTopologyServer } from '../redis-topology/topology-server.js';
import { eventually } from '../wait.js';
import { ReplicaServer, SentinelServer } from './sentinel-server.js';
import { SentinelSet } from './sentinel-set.js';

/** What a set is started with. */
export interface SentinelOptions {
  /** Default `mymaster`. */
  readonly name?: string;
  /** Default 2. */
  readonly replicas?: number;
  /** Default 3. */
  readonly sentinels?: number;
  /** After how long a silent server is given up; default 1 s, so that a busy machine is no fault. A failover takes two to four seconds. */
  readonly downAfterMs?: number;
  /**
   * How often the sentinels tell each other what they know; default 500 ms. A demoted master that comes back is told so after four
   * times as long, which is how long two masters serve at once.
   */
  readonly publishMs?: number;
  /** redis.conf of every server, not of the sentinels: notifications, users … */
  readonly config?: Readonly<Record<string, string>>;
}

/** Starts a set of processes on this machine; resolves when every sentinel knows all of them. Who calls it stops it. */
export async function startSentinelSet(options: SentinelOptions = {}): Promise<SentinelSet> {
  const { name = 'mymaster', replicas = 2, sentinels = 3, config = {} } = options;
  const servers: ReplicaServer[] = [];
  const started: SentinelServer[] = [];
  try {
    const password = config['requirepass'];
    const master = await startServer(config);
    servers.push(master);
    const replicaConfig = { ...config, replicaof: `${master.host} ${String(master.port)}` };
    const start = (): Promise<ReplicaServer> => startServer(replicaConfig);
    servers.push(...(await startAll(Array<typeof start>(replicas).fill(start), stop)));
    await eventually(async () => {
      const follow = await Promise.all(servers.slice(1).map((server) => server.follows(master)));
      return !follow.includes(false);
    }, PATIENCE);
    const watch = (): Promise<SentinelServer> => startSentinel(options, name, master, password);
    started.push(...(await startAll(Array<typeof watch>(sentinels).fill(watch), stop)));
    await eventually(async () => {
      for (const sentinel of started) {
        const known = await sentinel.knows(name);
        if (known.sentinels < sentinels - 1 || known.replicas < replicas) return false;
      }
      return true;
    }, PATIENCE);
    return new SentinelSet(name, servers, started);
  } catch (error) {
    await Promise.all([...started, ...servers].map(stop));
    throw error;
  }
}

const PATIENCE = { timeoutMs: 20_000 } as const;

async function stop(server: ReplicaServer | SentinelServer): Promise<void> {
  await server.stop();
}

async function startServer(config: Readonly<Record<string, string>>): Promise<ReplicaServer> {
  const { server } = await startTopologyServer({
    config: () => ({
      'repl-diskless-sync-delay': '0',
      ...(config['requirepass'] !== undefined && { masterauth: config['requirepass'] }),
      ...config,
    }),
  });
  return new ReplicaServer(server, config['requirepass']);
}

/** Starts one more sentinel for the master; who calls it stops it. */
export async function startSentinel(
  { sentinels = 3, downAfterMs = 1_000, publishMs = 500 }: SentinelOptions,
  name: string,
  master: ReplicaServer,
  password: string | undefined,
): Promise<SentinelServer> {
  const quorum = Math.floor(sentinels / 2) + 1;
  const { server } = await startTopologyServer({
    args: ['--sentinel'],
    config: () => ({
      'sentinel monitor': `${name} ${master.host} ${String(master.port)} ${String(quorum)}`,
      'sentinel down-after-milliseconds': `${name} ${String(downAfterMs)}`,
      // After half of it another try may be made.
      'sentinel failover-timeout': `${name} 3000`,
      'sentinel parallel-syncs': `${name} 2`,
      ...(password !== undefined && { 'sentinel auth-pass': `${name} ${password}` }),
    }),
  });
  const sentinel = new SentinelServer(server);
  // Redis 7 lets tests have it faster than the ten seconds between two looks at a server; without it all takes longer, and works.
  // The period of PING stays: five times as long is what a sentinel that looks for a new master may know of the replicas, and while
  // the old one is down it asks them once a second. With a shorter one it finds nobody, and tries again after six seconds.
  const periods = { 'info-period': 250, 'publish-period': publishMs };
  // A sentinel that a busy machine holds up for two seconds trusts nothing for thirty.
  const tilt = { 'tilt-trigger': 10_000, 'tilt-period': 1_000 };
  const settings = { ...periods, 'ask-period': 200, ...tilt };
  const args = Object.entries(settings).flatMap(([field, ms]) => [field, ms]);
  await sentinel.admin.call('SENTINEL', 'DEBUG', ...args).catch(() => undefined);
  return sentinel;
}
