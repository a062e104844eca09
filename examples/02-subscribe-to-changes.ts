/**
 * Subscribe to changes, whoever makes them: another process that uses credstream, or any program with a Redis client.
 * As an RxJS stream, as an event, or as an async iteration; take the one that you like.
 *
 *   npx tsx examples/02-subscribe-to-changes.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';
import { filter, firstValueFrom } from 'rxjs';

import { RedisCredentialStore, type CredentialChangeType } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface ApiKey {
  readonly apiKey: string;
}

const KEY = 'example:billing:api-key';

await using server = await startRedis();

// This process watches …
const redis = new Redis(server.url);
await using store = new RedisCredentialStore<ApiKey>(redis, { key: KEY });

// … and this stands for another process, which writes.
const otherRedis = new Redis(server.url);
await using other = new RedisCredentialStore<ApiKey>(otherRedis, { key: KEY });

// 1. As a stream of changes.
store.changes$.subscribe(({ type, origin }) => {
  const writer = typeof origin === 'object' ? 'another credstream process' : origin;
  console.log(`stream: ${type}, by: ${writer}`);
});

// 2. As a stream of what is valid now.
store.credentials$.subscribe((credentials) => {
  console.log(credentials === undefined ? 'nothing to work with' : 'there is a key to work with');
});

// 3. As an event.
store.on('cleared', ({ reason }) => {
  console.log(`event: cleared, reason: ${reason}`);
});

// 4. As an iteration, which ends when the store is closed.
const iteration = (async () => {
  for await (const change of store) console.log(`iteration: ${change.type}`);
})();

await store.ready();

await seeing('saved', () => other.save({ apiKey: 'secret-key-1' }));
await seeing('saved', () => otherRedis.set(KEY, '{"apiKey":"secret-key-2"}'));
await seeing('renewed', () => otherRedis.expire(KEY, 60));
await seeing('cleared', () => other.clear({ reason: 'the customer left' }));

await store.close();
await iteration;
redis.disconnect();
otherRedis.disconnect();

/** Writes, and waits until the change has been told here. */
async function seeing(type: CredentialChangeType, write: () => Promise<unknown>): Promise<void> {
  const seen = firstValueFrom(store.changes$.pipe(filter((change) => change.type === type)));
  await Promise.all([seen, write()]);
}
