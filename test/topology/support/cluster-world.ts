import type { Cluster } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';

import {
  type CredentialChange,
  type CredentialState,
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
  type StoreStatus,
} from '../../../src/index.js';
import { useCleanup } from '../../support/cleanup.js';
import { useMachineNoise } from '../../support/machine-noise.js';
import {
  type ClusterClientOptions as ClientOptions,
  type ClusterServer,
  type ClusterOptions,
  type RedisCluster,
  startRedisCluster,
} from '../../support/redis-cluster/index.js';
import { abilitiesOf } from '../../support/server-abilities.js';
import { slowness } from '../../support/slowness.js';
import { collect, type Collected, eventually } from '../../support/wait.js';
import { Writer } from './writer.js';

export type TextStore = RedisCredentialStore<string>;
export type TextOptions = Partial<RedisCredentialStoreOptions<string>>;

/** Small, so that a fault is noticed soon; yet no so small that a busy machine looks like a dead server. */
export const FAST = {
  heartbeatMs: 200,
  replyTimeoutMs: 400 * slowness(),
  pollMs: 300,
  probeMs: 500,
  closeTimeoutMs: 1_000,
};

/** How long a failover and all that follows may take on a busy machine. */
export const FAILOVER = { timeoutMs: 60_000 } as const;

export interface Watched {
  readonly store: TextStore;
  readonly changes: Collected<CredentialChange<string>>;
  readonly states: Collected<CredentialState<string>>;
  readonly statuses: Collected<StoreStatus>;
}

/** A cluster of the file's own, and what its tests make there. */
export interface ClusterWorld {
  readonly cluster: RedisCluster;
  /** A client of the tests, which ends with the test. */
  readonly client: (options?: ClientOptions) => Cluster;
  /** A store of plain text on a client of its own, or on the one given. */
  readonly open: (key: string, options?: TextOptions, client?: Cluster) => TextStore;
  /** A store that is live. */
  readonly watch: (key: string, options?: TextOptions, client?: Cluster) => Promise<Watched>;
  /** A new key on a certain master. */
  readonly keyOn: (server: ClusterServer) => Promise<string>;
  /** Masters, as they are now, each with a new key of its own. */
  readonly keys: () => Promise<readonly { readonly server: ClusterServer; readonly key: string }[]>;
  /** Waits until those who watch have read keys so many times more: where nothing is to happen, that is what happens. */
  readonly reads: (count?: number) => Promise<void>;
  /** Writes without a rest, until it is stopped or the test ends. */
  readonly writer: (write: (text: string) => Promise<unknown>) => Writer;
  readonly track: <T>(resource: T, end: (resource: T) => unknown) => T;
}

/** Call it at the top of a file. The cluster sends all notifications. */
export function useCluster(
  options: ClusterOptions = {},
  lifetime: 'test' | 'suite' = 'test',
): ClusterWorld {
  useMachineNoise();
  let cluster: RedisCluster | undefined;
  let made = 0;
  beforeAll(async () => {
    cluster = await startRedisCluster({
      ...options,
      config: { 'notify-keyspace-events': 'KEA', ...options.config },
    });
  }, 60_000);
  afterAll(async () => {
    await cluster?.stop();
  });
  const { track } = useCleanup(lifetime);
  const world: ClusterWorld = {
    get cluster() {
      if (cluster === undefined) throw new Error('the cluster has not been started');
      return cluster;
    },
    client: (more: ClientOptions = {}) =>
      track(world.cluster.client({ lazyConnect: true, ...more }), (one) => {
        one.disconnect();
      }),
    open: (key: string, more: TextOptions = {}, client = world.client()) => {
      const store = new RedisCredentialStore<string>(client, {
        key,
        serialize: (text) => text,
        deserialize: (bytes) => bytes.toString(),
        ...FAST,
        ...more,
      });
      return track(store, () => store.close());
    },
    watch: async (key: string, more?: TextOptions, client?: Cluster) => {
      const store = world.open(key, more, client);
      const watched = listen(store);
      await store.ready({ timeoutMs: 20_000 });
      return watched;
    },
    keyOn: (server: ClusterServer) => {
      made += 1;
      return world.cluster.keyOn(server, `k${String(made)}`);
    },
    keys: () =>
      // A master that has just come back has no slots, and is about to find out that it is none.
      eventually(async () => {
        const masters = await world.cluster.masters();
        return Promise.all(
          masters.map(async (server) => ({ server, key: await world.keyOn(server) })),
        );
      }, FAILOVER),
    reads: async (count = 10) => {
      const until = (await readsOf(world.cluster)) + count;
      await eventually(async () => (await readsOf(world.cluster)) >= until, { timeoutMs: 20_000 });
    },
    writer: (write) => track(new Writer(write), (one) => one.stop()),
    track,
  };
  return world;
}

/** How often the script that reads keys was called on all servers together, also where it was sent on. */
async function readsOf({ servers }: RedisCluster): Promise<number> {
  const counts = servers.map(async ({ admin, process }) => {
    if (process.pid === undefined) return 0;
    const info = await admin.info('commandstats');
    const { readCommand } = await abilitiesOf(admin);
    const line = `^cmdstat_${readCommand}:calls=(\\d+),.*rejected_calls=(\\d+),failed_calls=(\\d+)`;
    const [, calls, rejected, failed] = new RegExp(line, 'm').exec(info) ?? [];
    return Number(calls ?? 0) + Number(rejected ?? 0) + Number(failed ?? 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

export function listen(store: TextStore): Watched {
  return {
    store,
    changes: collect(store.changes$),
    states: collect(store.state$),
    statuses: collect(store.status$),
  };
}

/** For `next`: the change that brought this text. */
export const brings =
  (text: string) =>
  (change: CredentialChange<string>): boolean =>
    'credentials' in change && change.credentials === text;

export const isLive = ({ link, freshness }: StoreStatus): boolean =>
  link === 'live' && freshness === 'fresh';

/** The values that a store has shown, in order. */
export function shown({ changes }: Watched): string[] {
  return changes.values.map((change) =>
    change.type === 'saved' ? change.snapshot.credentials : change.type,
  );
}
