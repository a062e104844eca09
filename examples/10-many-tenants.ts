/**
 * The tokens of many tenants: one directory for all of them. Every instance hears of every tenant's changes, reads from memory those that it works
 * for, refreshes a few at a time, and throws all tokens away when they have leaked.
 *
 *   npx tsx examples/10-many-tenants.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';
import { filter, firstValueFrom, take, toArray } from 'rxjs';

import { deriveEach, ReauthenticatorPool, RedisCredentialDirectory } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface Tokens {
  readonly accessToken: string;
  readonly expiresAt: number;
}

const TENANTS = ['acme', 'globex', 'initech', 'umbrella'];

await using server = await startRedis();
const redis = new Redis(server.url);
const other = new Redis(server.url);

/** What a provider would do, and how often it is asked at the same time. */
let asked = 0;
let underWay = 0;
let most = 0;
async function logIn(tenant: string): Promise<Tokens> {
  asked += 1;
  underWay += 1;
  most = Math.max(most, underWay);
  await new Promise((resolve) => setTimeout(resolve, 20));
  underWay -= 1;
  return { accessToken: `secret-${tenant}`, expiresAt: Date.now() + 3_600_000 };
}

const options = {
  prefix: 'example:tenant:',
  ttlSeconds: 30 * 86_400,
  expiresAt: (tokens: Tokens) => tokens.expiresAt,
};
const directory = new RedisCredentialDirectory<Tokens>(redis, options);
const elsewhere = new RedisCredentialDirectory<Tokens>(other, options);

// Another instance hears of every tenant, also of those that it has never opened.
const heard = firstValueFrom(
  elsewhere.changes$.pipe(
    filter(({ type }) => type === 'saved'),
    take(TENANTS.length),
    toArray(),
  ),
);
await elsewhere.ready();

// At most two logins at a time, however many tenants come at once.
const auth = new ReauthenticatorPool(directory, {
  refresh: (_request, tenant) => logIn(tenant),
  // No person has to log in: the same function gets the first tokens.
  login: (_request, tenant) => logIn(tenant),
  concurrency: 2,
});
await Promise.all([...TENANTS, ...TENANTS].map((tenant) => auth.credentials(tenant)));
console.log(`logins: ${asked}, at the same time: ${most}`);

const tenants = (await heard).map(({ id }) => id).sort();
console.log(`the other instance heard of ${tenants.join(', ')}`);

// A client for each tenant, made when it is needed.
const clients = deriveEach(elsewhere, ({ accessToken }, { id }) => ({
  get: (path: string) => `${id} gets ${path} with a token of ${accessToken.length} characters`,
}));
console.log(await clients.use('acme', (client) => client.get('/invoices')));

// All stores of one tenant share one watch; closing one leaves the others alone.
await using store = elsewhere.store('acme');
await store.ready();
console.log(`in memory: ${elsewhere.current('acme') !== undefined}`);

const listed: string[] = [];
for await (const id of elsewhere.ids()) listed.push(id);
console.log(`stored: ${listed.sort().join(', ')}`);

const cleared = firstValueFrom(elsewhere.changes$.pipe(filter(({ type }) => type === 'cleared')));
const { cleared: count, failed } = await directory.clearAll({
  reason: 'a laptop was stolen',
  onProgress: ({ cleared }) => {
    if (cleared === 1) console.log('clearing …');
  },
});
const change = await cleared;
console.log(`cleared ${count}, failed ${failed}: ${'reason' in change ? change.reason : ''}`);

// Closes the pools, too.
await Promise.all([directory.close(), elsewhere.close()]);
await Promise.all([redis.quit(), other.quit()]);
