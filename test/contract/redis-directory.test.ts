import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { RedisCredentialDirectory } from 'credstream';
import {
  type ContractHarness,
  type ContractInstance,
  registerCredentialStoreContract,
} from 'credstream/testing';

import { type ClientOptions, connect, disconnect, startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { eventually } from '../support/wait.js';

/** So short that a lost notification is made up for, and so long that none is needed in a healthy run. */
const SETTINGS = { heartbeatMs: 1_000, pollMs: 500, probeMs: 60_000 };
/** Every character that patterns know. */
const PREFIX = 'app[a-z]*?\\:';

describe.each<{ protocol: string; options: ClientOptions }>([
  { protocol: 'RESP3', options: {} },
  { protocol: 'RESP2', options: { protocol: 2 } },
])('the stores of a RedisCredentialDirectory over $protocol', ({ options }) => {
  let server: RedisServer;
  let instances: Record<ContractInstance, Redis>;
  let admin: Redis;

  beforeAll(async () => {
    server = await startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
    instances = { first: connect(server, options), second: connect(server, options) };
    admin = connect(server);
  });

  const directories: RedisCredentialDirectory<unknown>[] = [];

  afterAll(async () => {
    for (const client of [instances.first, instances.second, admin]) await disconnect(client);
    await server.stop();
  });

  const now = async (): Promise<number> => {
    const [seconds, microseconds] = await admin.time();
    return Number(seconds) * 1000 + Number(microseconds) / 1000;
  };

  const createHarness = (): ContractHarness => ({
    createStore: (instance, { key, ...storeOptions }) => {
      const directory = new RedisCredentialDirectory(instances[instance], {
        ...SETTINGS,
        ...storeOptions,
        prefix: PREFIX,
      });
      directories.push(directory as RedisCredentialDirectory<unknown>);
      return directory.store(key);
    },
    now,
    advance: async (ms) => {
      const target = (await now()) + ms;
      await eventually(async () => (await now()) >= target, { timeoutMs: ms + 5_000 });
    },
    outside: {
      get: async (key) => (await admin.getBuffer(PREFIX + key)) ?? undefined,
      ttlMs: async (key) => {
        const left = await admin.pttl(PREFIX + key);
        return left < 0 ? undefined : left;
      },
      set: async (key, value, ttlMs) => {
        const bytes = Buffer.from(value);
        await (ttlMs === undefined
          ? admin.set(PREFIX + key, bytes)
          : admin.set(PREFIX + key, bytes, 'PX', ttlMs));
      },
      expire: async (key, ttlMs) => {
        await (ttlMs === undefined
          ? admin.persist(PREFIX + key)
          : admin.pexpire(PREFIX + key, ttlMs));
      },
      delete: async (key) => {
        await admin.del(PREFIX + key);
      },
    },
  });

  registerCredentialStoreContract((name, run) => {
    // A directory names the id where a store names the key; see the tests of its options.
    if (!name.includes('refuses wrong options when it is made')) it(name, run);
  }, createHarness);

  it('leaves no connection of its own open once the directories are closed', async () => {
    for (const directory of directories) await directory.close();
    await eventually(async () => {
      const clients = (await admin.client('LIST')) as string;
      expect(clients).not.toContain('name=credstream');
    });
  });
});
