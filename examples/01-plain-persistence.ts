/**
 * Plain persistence: load, save, clear. Nothing is watched. The bytes in Redis are exactly what `serialize` gave, so that any
 * other program can use the same key.
 *
 *   npx tsx examples/01-plain-persistence.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';

import { RedisCredentialStore } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface ApiKey {
  readonly apiKey: string;
}

await using server = await startRedis();
const redis = new Redis(server.url);

await using store = new RedisCredentialStore<ApiKey>(redis, {
  key: 'example:weather:api-key',
  ttlSeconds: 3600,
  // Without these two it is stored as JSON.
  serialize: ({ apiKey }) => apiKey,
  deserialize: (bytes) => ({ apiKey: bytes.toString() }),
});

console.log('before anything is saved:', await store.load());

await store.save({ apiKey: 'secret-key-1' });
const loaded = await store.load();
console.log('loaded a key of', loaded?.apiKey.length, 'characters');

// What another program sees.
const bytes = await redis.strlen('example:weather:api-key');
const seconds = await redis.ttl('example:weather:api-key');
console.log(`Redis keeps ${bytes} bytes for ${seconds} s`);

console.log('cleared:', await store.clear());
console.log('cleared once more:', await store.clear());

redis.disconnect();
