import type { Redis } from 'ioredis';

import { RedisCredentialStore } from '../../../src/index.js';
import { useCleanup } from '../../support/cleanup.js';
import { useMachineNoise } from '../../support/machine-noise.js';
import { type ClientOptions, disconnect } from '../../support/redis-clients.js';
import {
  type SentinelOptions,
  type SentinelSet,
  startSentinelSet,
} from '../../support/redis-sentinel/index.js';
import {
  FAST,
  isLive,
  listen,
  type TextOptions,
  type TextStore,
  type Watched,
} from './cluster-world.js';

export const KEY = 'token';

/** What tests make on a Sentinel set; all of it ends with the test. */
export interface SentinelWorld {
  readonly start: (options?: SentinelOptions) => Promise<SentinelSet>;
  /** A store of plain text on a client of its own, which asks the sentinels. */
  readonly open: (set: SentinelSet, options?: TextOptions, client?: ClientOptions) => TextStore;
  /** A store that is live. */
  readonly watch: (
    set: SentinelSet,
    options?: TextOptions,
    client?: ClientOptions,
  ) => Promise<Watched>;
  readonly client: (set: SentinelSet, options?: ClientOptions) => Redis;
  readonly track: <T>(resource: T, end: (resource: T) => unknown) => T;
}

/** Call it at the top of a file. */
export function useSentinels(): SentinelWorld {
  useMachineNoise();
  const { track } = useCleanup();
  const world: SentinelWorld = {
    start: async ({ config, ...options } = {}) => {
      const set = await startSentinelSet({
        ...options,
        config: { 'notify-keyspace-events': 'KEA', ...config },
      });
      return track(set, (one) => one.stop());
    },
    client: (set, options = {}) => track(set.client({ lazyConnect: true, ...options }), disconnect),
    open: (set, options = {}, client = {}) => {
      const store = new RedisCredentialStore<string>(world.client(set, client), {
        key: KEY,
        serialize: (text) => text,
        deserialize: (bytes) => bytes.toString(),
        ...FAST,
        ...options,
      });
      return track(store, () => store.close());
    },
    watch: async (set, options, client) => {
      const watched = listen(world.open(set, options, client));
      await watched.store.ready({ timeoutMs: 20_000 });
      // So that the next status is one that comes from now on.
      await watched.statuses.next(isLive);
      return watched;
    },
    track,
  };
  return world;
}
