import { lookup } from 'node:dns';
import { isIP } from 'node:net';
import { Redis, type Cluster, type RedisOptions } from 'ioredis';
import { InvalidOptionError } from '../../errors.js';
import type { ServerTemplate } from './server-template.js';
import { createAddress, type Address } from './address.js';

/** A client of a cluster whose options our own connections to its servers take; no command is ever sent on it. */
export interface ClusterTemplate {
  readonly type: 'cluster';
  readonly client: Cluster;
  /** A cluster has database 0 only. */
  readonly db: 0;
  readonly keyPrefix: string;
  /** The addresses that the caller gave. */
  seeds(): readonly Address[];
  /** The address at which a server that announces `address` is reached. */
  reached(address: Address): Address;
  server(address: Address): ServerTemplate;
}

/** The field where ioredis keeps the addresses that its caller gave; not part of its types. */
interface Named {
  readonly startupNodes?: readonly StartupNode[];
}
type StartupNode = string | number | (Omit<RedisOptions, 'port'> & { port?: number | string });

interface Seed extends Address {
  /** The options of this address alone. */
  readonly own: RedisOptions;
}

/** @throws InvalidOptionError */
export function readClusterTemplate(cluster: Cluster): ClusterTemplate {
  if (cluster.options.useSRVRecords) {
    throw new InvalidOptionError(
      'redis',
      'uses useSRVRecords, which is not supported; give the addresses of some servers',
    );
  }
  if (seedsOf(cluster).length === 0)
    throw new InvalidOptionError('redis', 'is a Cluster without startup nodes');
  return {
    type: 'cluster',
    client: cluster,
    db: 0,
    keyPrefix: cluster.options.keyPrefix ?? '',
    seeds: () => seedsOf(cluster),
    reached: ({ name, host, port }) => {
      const { natMap } = cluster.options;
      const mapped = typeof natMap === 'function' ? natMap(name) : natMap?.[name];
      return mapped ? createAddress(mapped.host, mapped.port) : createAddress(host, port);
    },
    server: ({ name, host, port }) => ({
      db: 0,
      locate: () => locate(cluster, host),
      create: (overrides) => {
        const seeds = seedsOf(cluster);
        const own = seeds.find((seed) => seed.name === name)?.own;
        const { redisOptions } = cluster.options;
        const tls = own?.tls ?? redisOptions?.tls ?? tlsOf(seeds);
        return new Redis({
          ...redisOptions,
          ...own,
          // The certificate names the host, not the address that it was looked up at.
          ...(tls !== undefined && { tls: isIP(host) ? tls : { servername: host, ...tls } }),
          host,
          port,
          ...overrides,
          db: 0,
          replyMapping: 'legacy',
        });
      },
    }),
  };
}

/** TLS of one server is TLS of all: a password must not go out in clear to the servers that the first one names. */
function tlsOf(seeds: readonly Seed[]): RedisOptions['tls'] {
  return seeds.find(({ own }) => own.tls !== undefined)?.own.tls;
}

/** Looks a host up by the caller's function: names that only the program knows lead through a tunnel or a service discovery. */
async function locate(cluster: Cluster, host: string): Promise<{ readonly host?: string }> {
  const { dnsLookup } = cluster.options;
  if (dnsLookup === undefined || dnsLookup === lookup || isIP(host) !== 0) return {};
  return new Promise((resolve, reject) => {
    dnsLookup(host, (error, address) => {
      if (error) reject(error);
      else resolve({ host: address });
    });
  });
}

/** Read anew each time, because the caller may have changed the password, for instance. */
function seedsOf(cluster: Cluster): readonly Seed[] {
  const { startupNodes = [] } = cluster as unknown as Named;
  return startupNodes.map((node) => {
    const { db: _db, ...own } = ownOptions(node);
    const { host = '127.0.0.1', port = 6379 } = own;
    return { ...createAddress(host, port), own };
  });
}

function ownOptions(node: StartupNode): RedisOptions {
  if (typeof node === 'number') return { port: node };
  if (typeof node === 'string') {
    // Only ioredis itself knows its address syntax.
    const { host, port, username, password, tls } = new Redis(node, { lazyConnect: true }).options;
    const login = { ...(username ? { username } : {}), ...(password ? { password } : {}) };
    return { ...place(host, port), ...login, ...(tls ? { tls } : {}) };
  }
  const { port, ...rest } = node;
  return { ...rest, ...(port === undefined ? {} : { port: Number(port) }) };
}

function place(host: string | undefined, port: number | undefined): RedisOptions {
  return { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
}
