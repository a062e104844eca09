/**
 * OAuth refresh by exactly one process. The access token lasts four seconds here, and every refresh token is good for one use: two
 * processes that both refresh would lose the login. The provider is a real one (oidc-provider), so is the client (openid-client).
 *
 *   npx tsx examples/07-oauth-refresh.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';
import * as oauth from 'openid-client';
import { filter, firstValueFrom } from 'rxjs';

import { Reauthenticator, RedisCredentialStore, type CredentialChangeType } from 'credstream';

import { startOAuthServer } from './demo/oauth/oauth-server.js';
import { connectClient, logIn, tokensOf, type Tokens } from './support/oauth-client.js';
import { startRedis } from './support/start-redis.js';

/** One process of many. Each has a client of its own, a store on the same key, and a reauthenticator. */
class Instance {
  readonly store: RedisCredentialStore<Tokens>;
  readonly auth: Reauthenticator<Tokens>;
  readonly #redis: Redis;

  constructor(redisUrl: string, client: oauth.Configuration) {
    this.#redis = new Redis(redisUrl);
    this.store = new RedisCredentialStore<Tokens>(this.#redis, {
      key: 'example:oauth:tokens',
      // The refresh token is needed when the access token has ended, so the bytes stay for longer.
      ttlSeconds: 30 * 86_400,
      expiresAt: (tokens) => tokens.expiresAt,
    });
    this.auth = new Reauthenticator(this.store, {
      leadFraction: 0.5,
      // There is no `login`: that takes a browser and a person.
      refresh: async ({ previous, signal }) => {
        // Aborts the request when another process has taken over, or when this one is closed.
        client[oauth.customFetch] = (url, options) =>
          fetch(url, { ...options, signal } as RequestInit);
        return tokensOf(await oauth.refreshTokenGrant(client, previous.refreshToken));
      },
    });
  }

  async close(): Promise<void> {
    // Closes the reauthenticator first, and lets a refresh that is under way be stored.
    await this.store.close();
    this.#redis.disconnect();
  }
}

await using redis = await startRedis();
await using provider = await startOAuthServer(4);
const { address } = provider;

const instances: Instance[] = [];
for (let number = 1; number <= 3; number += 1) {
  instances.push(new Instance(redis.url, await connectClient(address)));
}
const [first] = instances as [Instance, Instance, Instance];
const calls = (): number => instances.reduce((sum, { auth }) => sum + auth.counts.calls, 0);

const client = await connectClient(address);
await first.store.save(tokensOf(await logIn(client, address)));
const [before] = await Promise.all(instances.map(({ auth }) => auth.credentials()));
console.log('logged in, and every instance has the token; refreshes:', calls());

// From here on nobody does anything: half of its time before the token ends, one of the three gets the next.
await seenByAll('saved');
const after = await Promise.all(
  instances.map(({ auth }) => auth.credentials({ minValidityMs: 500 })),
);
const isNew = after.every(({ accessToken }) => accessToken === after[0]?.accessToken);
console.log('all instances have the same new token:', isNew && after[0] !== before);
console.log('refreshes:', calls());

// The provider withdraws a token in the middle of its time. `use` sees the 401, has it replaced, and calls once more.
await oauth.tokenRevocation(client, (await first.auth.credentials()).accessToken);
const answers: number[] = [];
const status = await first.auth.use(async ({ accessToken }, { signal }) => {
  const headers = { authorization: `Bearer ${accessToken}` };
  const response = await fetch(client.serverMetadata().userinfo_endpoint!, { headers, signal });
  await response.body?.cancel();
  answers.push(response.status);
  return response;
});
console.log('the API answered', answers.join(', then '), '- what came back:', status.status);
console.log('refreshes:', calls());

// A logout stays one: nobody gets new tokens after it.
await Promise.all([seenByAll('cleared'), first.store.clear({ reason: 'the user has left' })]);
await Promise.all(
  instances.map(({ auth }) =>
    auth.credentials().catch((error: unknown) => {
      console.log('after the logout:', error instanceof Error ? error.message : error);
    }),
  ),
);
await Promise.all(instances.map((instance) => instance.close()));

/** Resolves when every instance has been told of the next change of that type. */
function seenByAll(type: CredentialChangeType): Promise<unknown> {
  const seen = instances.map(({ store }) =>
    firstValueFrom(store.changes$.pipe(filter((change) => change.type === type))),
  );
  return Promise.all(seen);
}
