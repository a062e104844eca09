import type { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';

import {
  type CredentialChange,
  type CredentialChangeType,
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
} from 'credstream';

import { useCleanup } from '../support/cleanup.js';
import { useMachineNoise } from '../support/machine-noise.js';
import { connect, disconnect } from '../support/redis-clients.js';
import type { RedisServer, StartOptions } from '../support/redis-server/index.js';
import { type ClientOptions, startRedis, uniqueKey } from '../support/redis.js';
import { collect, type Collected } from '../support/wait.js';

/** What the credentials of these tests look like. */
export interface Token {
  readonly token: string;
}

/** The bytes that stand for a token, as any client may write them. */
export function bytesOf(token: string): string {
  return JSON.stringify({ token } satisfies Token);
}

/** What the store needs of Redis and no more, so that a missing flag shows. */
export const NOTIFICATIONS = { 'notify-keyspace-events': 'Kg$xe' };

/**
 * So rare that what a test sees within its deadline can only come from a hint: neither the heartbeat nor polling makes up for a lost
 * one.
 */
export const HINTS_ONLY = { heartbeatMs: 600_000, pollMs: 600_000, probeMs: 600_000 } as const;

/** For `next`: the changes of one type. */
export function ofType<Type extends CredentialChangeType>(type: Type) {
  return <T>(
    change: CredentialChange<T>,
  ): change is Extract<CredentialChange<T>, { readonly type: Type }> => change.type === type;
}

/** For `next`: the change that made this token the current one. */
export function brings(token: string): (change: CredentialChange<Token>) => boolean {
  return (change) => 'snapshot' in change && change.snapshot.credentials.token === token;
}

/** A store that is live, and the changes it has told since. */
export interface Watched<T> {
  readonly store: RedisCredentialStore<T>;
  readonly key: string;
  readonly changes: Collected<CredentialChange<T>>;
}

/** A server of the file's own and what its tests make there. */
export interface World {
  readonly server: RedisServer;
  readonly connect: (options?: ClientOptions, url?: string) => Redis;
  readonly store: <T = Token>(
    client: Redis,
    options?: Partial<RedisCredentialStoreOptions<T>>,
  ) => RedisCredentialStore<T>;
  readonly watch: <T = Token>(
    client: Redis,
    options?: Partial<RedisCredentialStoreOptions<T>>,
  ) => Promise<Watched<T>>;
  readonly track: <T>(resource: T, end: (resource: T) => unknown) => T;
}

/** Call it at the top of a file: the server lives as long as the file, everything else as long as a test. */
export function useWorld(options: StartOptions = { config: NOTIFICATIONS }): World {
  useMachineNoise();
  let server: RedisServer | undefined;
  beforeAll(async () => {
    server = await startRedis(options);
  });
  afterAll(() => server?.stop());
  const { track } = useCleanup();

  const open = <T = Token>(
    client: Redis,
    storeOptions: Partial<RedisCredentialStoreOptions<T>> = {},
  ): RedisCredentialStore<T> => {
    const store = new RedisCredentialStore<T>(client, { key: uniqueKey(), ...storeOptions });
    return track(store, (one) => one.close());
  };
  return {
    get server() {
      if (server === undefined) throw new Error('the server starts before the first test');
      return server;
    },
    connect: (clientOptions, url) => track(connect(url ?? server!.url, clientOptions), disconnect),
    store: open,
    watch: async <T = Token>(
      client: Redis,
      storeOptions: Partial<RedisCredentialStoreOptions<T>> = {},
    ): Promise<Watched<T>> => {
      const key = storeOptions.key ?? uniqueKey();
      const store = open<T>(client, { ...HINTS_ONLY, ...storeOptions, key });
      const changes = collect(store.changes$);
      await store.ready();
      return { store, key, changes };
    },
    track,
  };
}
