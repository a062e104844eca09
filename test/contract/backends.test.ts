import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CredentialMemory } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { MemoryBackend } from '../../src/memory/backend.js';
import { RedisBackend } from '../../src/redis/backend.js';
import { resolveSettings } from '../../src/redis/connection-options.js';
import { backendContract } from '../../src/testing/backend-contract.js';
import type { BackendHarness } from '../../src/testing/backend/harness.js';
import { type ClientOptions, connect, disconnect, startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { createTcpProxy } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';

function memoryHarness(clock: VirtualClock): BackendHarness {
  const memory = new CredentialMemory({ clock });
  return {
    createBackend: (instance) => new MemoryBackend(memory, `the ${instance}`),
    network: {
      cut: async () => memory.disconnect(),
      mend: async () => memory.reconnect(),
    },
    now: async () => memory.now(),
    advance: (ms) => clock.advance(ms),
    outside: {
      get: async (key) => memory.get(key),
      ttlMs: async (key) => memory.ttlMs(key),
      set: async (key, value, ttlMs) => {
        memory.set(key, value, ttlMs === undefined ? {} : { ttlMs });
      },
      expire: async (key, ttlMs) => {
        memory.expire(key, ttlMs);
      },
      delete: async (key) => {
        memory.delete(key);
      },
    },
  };
}

describe('backendContract on a memory', () => {
  for (const { name, run } of backendContract())
    it(name, async () => {
      const clock = new VirtualClock();
      await run(memoryHarness(clock));
      await clock.settle();
      expect(clock.pendingTimers).toBe(0);
    });
});

describe.each<{ protocol: string; options: ClientOptions }>([
  { protocol: 'RESP3', options: {} },
  { protocol: 'RESP2', options: { protocol: 2 } },
])('backendContract on Redis over $protocol', ({ options }) => {
  let server: RedisServer;
  let admin: Redis;

  beforeAll(async () => {
    server = await startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
    admin = connect(server);
  });

  afterAll(async () => {
    await disconnect(admin);
    await server.stop();
  });

  const now = async (): Promise<number> => {
    const [seconds, microseconds] = await admin.time();
    return Number(seconds) * 1000 + Number(microseconds) / 1000;
  };

  /** Runs on a network of its own, which may break. */
  async function onRedis(run: (harness: BackendHarness) => Promise<void>): Promise<void> {
    await using proxy = await createTcpProxy({ target: server });
    const clients: Redis[] = [];
    const harness: BackendHarness = {
      createBackend: (instance) => {
        const client = connect(proxy, options);
        clients.push(client);
        const settings = resolveSettings({ heartbeatMs: 200 });
        return RedisBackend.acquire(client, settings, `the ${instance}`);
      },
      network: {
        cut: async () => proxy.refuse({ reset: true }),
        mend: () => proxy.accept(),
      },
      storeOtherType: async (key) => {
        await admin.hset(key, 'field', 'value');
      },
      now,
      advance: async (ms) => {
        const until = (await now()) + ms;
        // A short wait is over before a pause between two reads would be.
        if (ms <= 50) while ((await now()) < until);
        else await eventually(async () => (await now()) >= until, { timeoutMs: ms + 5_000 });
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
    };
    try {
      await run(harness);
    } finally {
      for (const client of clients) await disconnect(client);
    }
  }

  for (const { name, run } of backendContract({ otherTypes: true })) it(name, () => onRedis(run));

  it('has left no connection of its own open', async () => {
    await eventually(async () => {
      const clients = (await admin.client('LIST')) as string;
      expect(clients).not.toContain('name=credstream');
    });
  });
});
