import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { RedisCredentialStore } from 'credstream';
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

describe.each<{ protocol: string; options: ClientOptions }>([
  { protocol: 'RESP3', options: {} },
  { protocol: 'RESP2', options: { protocol: 2 } },
])('RedisCredentialStore over $protocol', ({ options }) => {
  let server: RedisServer;
  let instances: Record<ContractInstance, Redis>;
  let admin: Redis;

  beforeAll(async () => {
    server = await startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
    instances = { first: connect(server, options), second: connect(server, options) };
    admin = connect(server);
  });

  afterAll(async () => {
    for (const client of [instances.first, instances.second, admin]) await disconnect(client);
    await server.stop();
  });

  const now = async (): Promise<number> => {
    const [seconds, microseconds] = await admin.time();
    return Number(seconds) * 1000 + Number(microseconds) / 1000;
  };

  const createHarness = (): ContractHarness => ({
    createStore: (instance, storeOptions) =>
      new RedisCredentialStore(instances[instance], { ...SETTINGS, ...storeOptions }),
    now,
    advance: async (ms) => {
      const target = (await now()) + ms;
      await eventually(async () => (await now()) >= target, { timeoutMs: ms + 5_000 });
    },
    outside: {
      get: async (key) => (await admin.getBuffer(key)) ?? undefined,
      ttlMs: async (key) => {
        const left = await admin.pttl(key);
        return left < 0 ? undefined : left;
      },
      set: async (key, value, ttlMs) => {
        const bytes = Buffer.from(value);
        await (ttlMs === undefined ? admin.set(key, bytes) : admin.set(key, bytes, 'PX', ttlMs));
      },
      expire: async (key, ttlMs) => {
        await (ttlMs === undefined ? admin.persist(key) : admin.pexpire(key, ttlMs));
      },
      delete: async (key) => {
        await admin.del(key);
      },
    },
  });

  registerCredentialStoreContract((name, run) => it(name, run), createHarness);

  it('leaves no connection of its own open', async () => {
    await eventually(async () => {
      const clients = (await admin.client('LIST')) as string;
      expect(clients).not.toContain('name=credstream');
    });
  });
});
