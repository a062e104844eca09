import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';

import { RedisCredentialStore } from 'credstream';

import type { AttemptRecord } from '../../../src/backend/attempts.js';
import { HelperNames } from '../../../src/redis/commands/helper-names.js';
import { useCleanup } from '../../support/cleanup.js';
import { connect, disconnect } from '../../support/redis-clients.js';
import type { RedisServer } from '../../support/redis-server/index.js';
import { startRedis, uniqueKey } from '../../support/redis.js';
import { slowness } from '../../support/slowness.js';
import { createTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { eventually } from '../../support/wait.js';
import type { InstanceSettings } from './instance-protocol.js';
import { OAuthClient, type Tokens } from './oauth-client.js';
import { startProvider, type TestProvider } from './provider.js';
import { RemoteInstance } from './remote-instance.js';

/** Small, so that what waits for a deadline does not take long; yet a busy machine is no dead instance. */
const STORE = {
  heartbeatMs: 300,
  replyTimeoutMs: 500 * slowness(),
  pollMs: 300,
  probeMs: 1_000,
  closeTimeoutMs: 1_000,
};

export const REAUTHENTICATOR = {
  leaseMs: 1_000 * slowness(),
  attemptTimeoutMs: 20_000,
  minIntervalMs: 10,
  backOffMs: 100,
  maxBackOffMs: 400,
  timeoutMs: 15_000,
  drainMs: 5_000,
};

type Settings = Partial<InstanceSettings>;

/** A credential, and the instances of all processes that keep it valid. */
export interface Scene {
  readonly key: string;
  readonly instances: readonly RemoteInstance[];
  /** What was stored at first. */
  readonly first: Tokens;
  /** Of this process: one more that uses the credential. */
  readonly store: RedisCredentialStore<Tokens>;
  /** What is stored now. */
  stored(): Promise<Tokens | undefined>;
  /** The record of the last attempt. */
  record(): Promise<AttemptRecord | undefined>;
  /** Somebody logs in again. */
  logIn(lastsMs?: number): Promise<Tokens>;
  /** Resolves when all these instances have this token. */
  agree(token: string, instances?: readonly RemoteInstance[]): Promise<void>;
}

/** Four processes, a provider and a Redis. */
export interface Cluster {
  readonly redis: RedisServer;
  readonly admin: Redis;
  readonly provider: TestProvider;
  readonly processes: readonly RemoteInstance[];
  readonly track: <T>(resource: T, end: (resource: T) => unknown) => T;
  /** One more process, or one for a process that is gone. */
  readonly start: () => Promise<RemoteInstance>;
  readonly proxy: () => Promise<TcpProxy>;
  /**
   * Logs in, and opens an instance in each process.
   *
   * @param lastsMs - what the application takes for the rest of the first token's life, whatever the provider says; 0: it has ended
   */
  readonly play: (lastsMs: number, settings?: Settings) => Promise<Scene>;
  readonly settings: (key: string, settings?: Settings) => InstanceSettings;
}

const PROCESSES = 4;

/** Call it at the top of a file: processes live as long as the file, instances as long as a test. */
export function useCluster(
  config: Readonly<Record<string, string>> = { 'notify-keyspace-events': 'Kg$xe' },
): Cluster {
  const { track: trackForSuite } = useCleanup('suite');
  let redis!: RedisServer;
  let admin!: Redis;
  let provider!: TestProvider;
  let login!: OAuthClient;
  const processes: RemoteInstance[] = [];
  const start = async (): Promise<RemoteInstance> =>
    trackForSuite(await RemoteInstance.start(), (instance) => instance.stop());
  beforeAll(async () => {
    const starting = Array.from({ length: PROCESSES }, start);
    [redis, provider] = await Promise.all([startRedis({ config }), startProvider()]);
    trackForSuite(redis, (server) => server.stop());
    trackForSuite(provider, (one) => one.stop());
    admin = trackForSuite(connect(redis), disconnect);
    login = await OAuthClient.open(provider.address);
    processes.push(...(await Promise.all(starting)));
  });
  beforeEach(async () => {
    await provider.tell('reset');
    // Some are killed by the test before.
    const present = processes.map(async (instance) => (instance.isRunning ? instance : start()));
    processes.splice(0, PROCESSES, ...(await Promise.all(present)));
  });
  afterAll(() => expect(processes.flatMap((instance) => instance.complaints)).toEqual([]));
  const { track } = useCleanup();

  const settings = (key: string, more: Settings = {}): InstanceSettings => ({
    redisUrl: redis.url,
    key,
    provider: provider.address,
    ...more,
    store: { ...STORE, ...more.store },
    reauthenticator: { ...REAUTHENTICATOR, ...more.reauthenticator },
  });

  const play = async (lastsMs: number, more: Settings = {}): Promise<Scene> => {
    const key = more.key ?? uniqueKey('tokens');
    const store = track(
      new RedisCredentialStore<Tokens>(connect(redis, { lazyConnect: true }), {
        key,
        expiresAt: ({ expiresAt }) => expiresAt,
      }),
      (one) => one.close(),
    );
    const logIn = async (lasts = 3_600_000): Promise<Tokens> => {
      const tokens = { ...(await login.logIn()), expiresAt: Date.now() + lasts };
      await store.save(tokens);
      return tokens;
    };
    const first = await logIn(lastsMs);
    const instances = [...processes];
    await Promise.all(
      instances.map(async (instance) => {
        await instance.call({ does: 'open', settings: settings(key, more) });
        track(instance, (one) => (one.isRunning ? one.call({ does: 'close' }) : undefined));
      }),
    );
    return {
      key,
      instances,
      first,
      store,
      logIn,
      stored: async () => {
        const text = await admin.get(key);
        return text === null ? undefined : (JSON.parse(text) as Tokens);
      },
      record: async () => {
        const text = await admin.get(new HelperNames('credstream', '').attempt(key));
        return text === null ? undefined : (JSON.parse(text) as AttemptRecord);
      },
      agree: async (token, those = instances) => {
        await Promise.all(
          those.map((instance) =>
            eventually(async () => expect((await instance.view()).current).toBe(token)),
          ),
        );
      },
    };
  };

  return {
    get redis() {
      return redis;
    },
    get admin() {
      return admin;
    },
    get provider() {
      return provider;
    },
    processes,
    track,
    start,
    proxy: async () => track(await createTcpProxy({ target: redis }), (one) => one.close()),
    play,
    settings,
  };
}
