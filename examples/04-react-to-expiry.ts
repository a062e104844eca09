/**
 * React to expiry: shortly before the end, and at the end. The access token ends after two seconds here; the key in Redis stays
 * for 30 days, because the refresh token beside it is needed exactly when the access token has ended.
 *
 *   npx tsx examples/04-react-to-expiry.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { Redis } from 'ioredis';
import { filter, firstValueFrom } from 'rxjs';

import { RedisCredentialStore } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

await using server = await startRedis();
const redis = new Redis(server.url);

await using store = new RedisCredentialStore<Tokens>(redis, {
  key: 'example:crm:tokens',
  // How long Redis keeps the bytes …
  ttlSeconds: 30 * 86_400,
  // … and when the credential stops being valid.
  expiresAt: (tokens) => tokens.expiresAt,
});

// A good moment to get a new one, were this not an example of what happens otherwise.
store.expiring$(500).subscribe(() => {
  console.log('expiring: half a second left');
});

store.on('expired', async ({ source }) => {
  console.log(`expired (${source}); valid now: ${store.current === undefined ? 'none' : 'one'}`);
  // `load` does not judge: what Redis keeps is still there.
  const ended = await store.load();
  if (ended !== undefined) await store.save(refresh(ended, 60_000));
});

await store.ready();
await store.save({
  accessToken: 'secret-access-1',
  refreshToken: 'secret-refresh-1',
  expiresAt: Date.now() + 2_000,
});
console.log('saved, valid for 2 s');

// The next one: saved by the listener above, or by another process.
const { credentials } = await firstValueFrom(
  store.changes$.pipe(filter((change) => change.type === 'saved')),
);
const seconds = Math.round((credentials.expiresAt - Date.now()) / 1_000);
console.log(`refreshed, valid for ${seconds} s`);

await store.clear();
redis.disconnect();

/** Stands for a request to the OAuth server, with the refresh token. */
function refresh({ refreshToken }: Tokens, lastsMs: number): Tokens {
  console.log(`refreshing with a refresh token of ${refreshToken.length} characters`);
  return {
    accessToken: 'secret-access-2',
    refreshToken: 'secret-refresh-2',
    expiresAt: Date.now() + lastsMs,
  };
}
