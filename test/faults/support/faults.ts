import {
  type CredentialChange,
  type CredentialState,
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
  type StoreStatus,
} from '../../../src/index.js';
import { useMachineNoise } from '../../support/machine-noise.js';
import { slowness } from '../../support/slowness.js';
import type { StartOptions } from '../../support/redis-server/index.js';
import {
  type ClientOptions,
  type RedisForTests,
  type RedisTarget,
  useRedis,
} from '../../support/redis.js';
import type { ProxyLink, Select, TcpProxy } from '../../support/tcp-proxy.js';
import { collect, type Collected } from '../../support/wait.js';

type RedisServer = Awaited<ReturnType<RedisForTests['startRedis']>>;
export type TextStore = RedisCredentialStore<string>;
export type TextOptions = Partial<RedisCredentialStoreOptions<string>>;

/** The key of every store that is not given another. */
export const KEY = 'token';

/** Small, so that a fault is noticed soon; yet no so small that a busy machine looks like a dead server. */
export const FAST = {
  heartbeatMs: 100,
  replyTimeoutMs: 300 * slowness(),
  pollMs: 200,
  probeMs: 300,
  closeTimeoutMs: 1_000,
};

/** No round comes by while the test runs: what is seen is seen because of a hint or a new link. */
export const NO_ROUNDS = { heartbeatMs: 600_000, pollMs: 600_000, probeMs: 600_000 } as const;

/** A store and everything that it said since it was made. */
export interface Watched {
  readonly store: TextStore;
  readonly changes: Collected<CredentialChange<string>>;
  readonly states: Collected<CredentialState<string>>;
  readonly statuses: Collected<StoreStatus>;
}

export interface Faults extends RedisForTests {
  /** A server that sends all keyspace notifications. */
  readonly startNotifying: (options?: StartOptions) => Promise<RedisServer>;
  /** A store of plain text with {@link FAST} settings on a client of its own. */
  readonly open: (target: RedisTarget, options?: TextOptions, client?: ClientOptions) => TextStore;
  /** A store that is live. */
  readonly watch: (
    target: RedisTarget,
    options?: TextOptions,
    client?: ClientOptions,
  ) => Promise<Watched>;
}

/** Call it at the top of a file; everything ends with the test. */
export function useFaults(): Faults {
  useMachineNoise();
  const redis = useRedis();
  const open = (
    target: RedisTarget,
    options: TextOptions = {},
    clientOptions: ClientOptions = {},
  ): TextStore => {
    // The store never uses this client, so a test does not have to tell its connection from the store's.
    const client = redis.connect(target, { lazyConnect: true, ...clientOptions });
    const store = new RedisCredentialStore<string>(client, {
      key: KEY,
      serialize: (text) => text,
      deserialize: (bytes) => bytes.toString(),
      ...FAST,
      ...options,
    });
    return redis.track(store, () => store.close());
  };
  return {
    ...redis,
    open,
    startNotifying: ({ config, ...options } = {}) =>
      redis.startRedis({ ...options, config: { 'notify-keyspace-events': 'KEA', ...config } }),
    watch: async (target, options, client) => {
      const store = open(target, options, client);
      const watched = listen(store);
      await store.ready();
      // So that the next status is one that comes from now on.
      await watched.statuses.next(isLive);
      return watched;
    },
  };
}

/** Keeps everything that a store says from now on; watches by that. */
export function listen(store: TextStore): Watched {
  return {
    store,
    changes: collect(store.changes$),
    states: collect(store.state$),
    statuses: collect(store.status$),
  };
}

/** In short: `saved v2`, `expired v1` (with what it was before). */
export function say(change: CredentialChange<string>): string {
  const { type, previous } = change;
  const of = type === 'saved' || type === 'renewed' ? change.credentials : previous?.credentials;
  return `${type} ${of ?? '-'}`;
}

/** The statuses since the first live one that were not. */
export function interruptions({ statuses }: Watched): readonly StoreStatus[] {
  return statuses.values.slice(statuses.values.findIndex(isLive)).filter(isNotLive);
}

export const saved =
  (value: string) =>
  (change: CredentialChange<string>): boolean =>
    say(change) === `saved ${value}`;

export const isLive = ({ link }: StoreStatus): boolean => link === 'live';
export const isNotLive = (status: StoreStatus): boolean => !isLive(status);

/** Selects the connections that exist now; those that come later are spared. */
export function presentLinks(proxy: TcpProxy): Select {
  const present = new Set(proxy.links.map(({ id }: ProxyLink) => id));
  return ({ id }) => present.has(id);
}
