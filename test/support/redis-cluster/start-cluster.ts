import {
  programAbilities,
  startAll,
  startTopologyServer,
} from '../redis-topology/topology-server.js';
import { ClusterServer } from './cluster-server.js';
import { formCluster } from './forming.js';
import { RedisCluster } from './redis-cluster.js';

/** Files for connections under TLS, which all servers then take beside those without. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What a cluster is started with. */
export interface ClusterOptions {
  /** Default 3. */
  readonly masters?: number;
  /** Default 1. */
  readonly replicasPerMaster?: number;
  /** After how long a silent server is given up; default 1,000 ms. A failover takes about twice as long. */
  readonly serverTimeoutMs?: number;
  /** Whether nobody serves while any slot is without owner, as is Redis's default. */
  readonly requireFullCoverage?: boolean;
  /** redis.conf of every server: notifications, users … */
  readonly config?: Readonly<Record<string, string>>;
  readonly tls?: TlsFiles;
}

/** Starts a cluster of processes on this machine; resolves when all of them agree that it serves. Who calls it stops it. */
export async function startRedisCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicasPerMaster = 1 } = options;
  const start = (): Promise<ClusterServer> => startServer(options);
  const count = masters * (1 + replicasPerMaster);
  const servers = await startAll(Array<typeof start>(count).fill(start), (server) => server.stop());
  try {
    await formCluster(servers.slice(0, masters), servers.slice(masters));
    return new RedisCluster(servers, start);
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()));
    throw error;
  }
}

/** From the port of a server to that of its bus, where it cannot be chosen. */
const BUS_OFFSET = 10_000;

async function startServer({
  serverTimeoutMs = 1_000,
  requireFullCoverage = true,
  config = {},
  tls,
}: ClusterOptions): Promise<ClusterServer> {
  const { choosesBusPort } = await programAbilities();
  const { server, extraPorts } = await startTopologyServer({
    extraPorts: tls === undefined ? 1 : 2,
    config: ([busPort, tlsPort]) => ({
      'cluster-enabled': 'yes',
      // The port that goes with the usual one by default lies where outgoing connections are made from. Redis 7 lets us choose.
      ...(choosesBusPort && { 'cluster-port': String(busPort) }),
      'cluster-node-timeout': String(serverTimeoutMs),
      'cluster-require-full-coverage': requireFullCoverage ? 'yes' : 'no',
      // A replica whose link was down for a moment may take over all the same.
      'cluster-replica-validity-factor': '0',
      'repl-diskless-sync-delay': '0',
      ...(tls !== undefined && {
        'tls-port': String(tlsPort),
        'tls-cert-file': tls.cert,
        'tls-key-file': tls.key,
        'tls-ca-cert-file': tls.ca,
        'tls-auth-clients': 'no',
        'tls-cluster': 'yes',
        'tls-replication': 'yes',
      }),
      ...config,
    }),
  });
  const [chosenPort = 0, tlsPort] = extraPorts;
  const busPort = choosesBusPort ? chosenPort : server.port + BUS_OFFSET;
  try {
    return await ClusterServer.of({
      process: server,
      busPort,
      tlsPort,
      password: config['requirepass'],
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
}
