import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';

import type { Backend } from '../../../src/backend/backend.js';
import { ClientPool } from '../../../src/redis/client-pool.js';
import { resolveSettings } from '../../../src/redis/connection-options.js';

it('a pool that is released twice leaves the next pool of its client alone', async () => {
  const redis = new Redis({ lazyConnect: true });
  onTestFinished(() => {
    redis.disconnect();
  });
  const settings = resolveSettings({});
  const pools: ClientPool[] = [];
  const acquire = (): Backend =>
    ClientPool.acquire(redis, settings, 'name', (pool) => {
      pools.push(pool);
      return {} as Backend;
    });
  acquire();
  await pools[0]!.release(settings, 'name', 1_000);
  const second = acquire();
  await pools[0]!.release(settings, 'name', 1_000);
  expect(acquire()).toBe(second);
  expect(pools).toHaveLength(2);
});
