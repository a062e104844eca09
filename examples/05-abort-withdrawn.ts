/**
 * Abort what uses a withdrawn token: every snapshot has an AbortSignal that fires when its credential is cleared, evicted, expired or
 * unreadable. A mere rotation does not fire it, so that healthy requests go on.
 *
 *   npx tsx examples/05-abort-withdrawn.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Redis } from 'ioredis';

import { RedisCredentialStore, WithdrawnError } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface AccessToken {
  readonly accessToken: string;
}

// An API that takes its time: it never answers.
const api = createServer();
api.listen(0, '127.0.0.1');
await once(api, 'listening');
const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}/report`;

await using server = await startRedis();
const redis = new Redis(server.url);
await using store = new RedisCredentialStore<AccessToken>(redis, { key: 'example:reports:token' });
await store.ready();
await store.save({ accessToken: 'secret-token-1' });

const asked = once(api, 'request');
const report = fetchReport();
await asked;
console.log('the request is under way');

// Usually somewhere else: an administrator, another process.
await store.clear({ reason: 'the token has leaked' });
console.log(await report);

redis.disconnect();
api.closeAllConnections();
api.close();

async function fetchReport(): Promise<string> {
  const snapshot = store.current;
  if (snapshot === undefined) return 'not logged in';
  const { credentials, signal } = snapshot;
  try {
    const headers = { authorization: `Bearer ${credentials.accessToken}` };
    const response = await fetch(url, { headers, signal });
    return await response.text();
  } catch (error) {
    // The reason of the signal names the change that withdrew the token.
    if (!(error instanceof WithdrawnError)) throw error;
    const { type, reason } = error.change;
    return `the request was aborted: ${type}${reason === undefined ? '' : `, ${reason}`}`;
  }
}
