/**
 * Invalidate an in-memory cache on every instance the moment a credential changes. What was fetched with the old key may not be
 * what the new one is allowed to see.
 *
 *   npx tsx examples/03-invalidate-a-cache.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { firstValueFrom } from 'rxjs';

import { type Invalidation, invalidate, RedisCredentialStore } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface ApiKey {
  readonly apiKey: string;
  readonly plan: 'free' | 'paid';
}

/** One process of many: it asks an API, and remembers the answers. */
class Instance {
  readonly name: string;
  readonly store: RedisCredentialStore<ApiKey>;
  readonly #redis: Redis;
  readonly #answers: LRUCache<string, string>;
  readonly #kept: Invalidation;

  constructor(name: string, redisUrl: string) {
    this.name = name;
    this.#redis = new Redis(redisUrl);
    this.store = new RedisCredentialStore<ApiKey>(this.#redis, { key: 'example:weather:plan' });
    this.#answers = new LRUCache({
      max: 1_000,
      dispose: (_answer, city) => {
        console.log(`${name}: forgets ${city}`);
      },
    });
    // Also after the link to Redis was lost, and when nobody can vouch for the key any longer.
    this.#kept = invalidate(this.#answers, this.store, { all: true });
  }

  async forecast(city: string): Promise<string> {
    const remembered = this.#answers.get(city);
    if (remembered !== undefined) return `${remembered} (remembered)`;
    // Before the key is read: an answer that took so long that the key has changed is not remembered.
    const stillTrue = this.#kept.guard();
    const key = this.store.current?.credentials;
    if (key === undefined) return 'no key, no forecast';
    const answer = await this.#askApi(city, key);
    if (stillTrue()) this.#answers.set(city, answer);
    return answer;
  }

  async #askApi(city: string, { plan }: ApiKey): Promise<string> {
    return plan === 'paid' ? `${city}: hour by hour` : `${city}: sunny, or not`;
  }

  async close(): Promise<void> {
    this.#kept.close();
    await this.store.close();
    this.#redis.disconnect();
  }
}

await using server = await startRedis();
const instances = [new Instance('instance A', server.url), new Instance('instance B', server.url)];
const [first] = instances as [Instance, Instance];
await Promise.all(instances.map(({ store }) => store.ready()));

await saveAndSee({ apiKey: 'secret-key-1', plan: 'free' });
for (const instance of [...instances, ...instances]) {
  console.log(`${instance.name}: ${await instance.forecast('Lisbon')}`);
}

await saveAndSee({ apiKey: 'secret-key-2', plan: 'paid' });
for (const instance of instances)
  console.log(`${instance.name}: ${await instance.forecast('Lisbon')}`);

await first.store.clear();
await Promise.all(instances.map((instance) => instance.close()));

/** Saves on one instance, and waits until every instance has been told. */
async function saveAndSee(key: ApiKey): Promise<void> {
  const told = instances.map(({ store }) => firstValueFrom(store.changes$));
  await Promise.all([first.store.save(key), ...told]);
}
