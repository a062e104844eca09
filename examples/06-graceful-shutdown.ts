/**
 * Graceful shutdown: on SIGTERM finish what is being done, close the store, and let the process end by itself. `await using` closes
 * it on every way out of the block, also when something throws.
 *
 *   npx tsx examples/06-graceful-shutdown.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { Redis } from 'ioredis';

import { RedisCredentialStore } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface ApiKey {
  readonly apiKey: string;
}

const shutdown = new AbortController();
process.once('SIGTERM', () => {
  console.log('SIGTERM: no new jobs');
  shutdown.abort();
});

await using server = await startRedis();
const redis = new Redis(server.url);

try {
  await work();
} catch (error) {
  // A wait that the shutdown has cut short.
  if (error !== shutdown.signal.reason) throw error;
}

// The client is yours: the store has not closed it.
console.log(`the store is closed, your client is ${redis.status}`);
await redis.quit();

async function work(): Promise<void> {
  await using store = new RedisCredentialStore<ApiKey>(redis, { key: 'example:worker:api-key' });
  // While Redis is down this would wait; a shutdown ends the wait.
  await store.ready({ signal: shutdown.signal });
  await store.save({ apiKey: 'secret-key-1' });
  store.status$.subscribe({ complete: () => console.log('the streams of the store have ended') });

  // What an orchestrator does, from outside.
  setTimeout(() => process.kill(process.pid, 'SIGTERM'), 350);

  for (let job = 1; !shutdown.signal.aborted && store.current !== undefined; job += 1) {
    await delay(100);
    console.log(`job ${job} done`);
  }
  await store.clear();
}
