/**
 * Abort requests that are under way when the token that they were made with is revoked: because another request got a 401 with it, or because
 * somebody has cleared it. `use` gives each of them a signal, and makes another attempt with the next token where there is one.
 *
 *   npx tsx examples/09-abort-fetch-on-revocation.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Redis } from 'ioredis';

import { Reauthenticator, RedisCredentialStore, WithdrawnError } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface AccessToken {
  readonly accessToken: string;
}

// An API. It refuses what is revoked, sends half of a report with the first token and all of it with the second.
const revoked = new Set<string>();
const token = (number: number): string => `secret-token-${number}`;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const used = request.headers.authorization?.replace('Bearer ', '') ?? '';
  if (revoked.has(used)) {
    response.writeHead(401).end();
    return;
  }
  response.writeHead(200).flushHeaders();
  if (request.url === '/me') response.end('me');
  else if (used === token(2)) response.end('the whole report');
  else response.write('half of the ');
}

const answers = new EventEmitter();
const api = createServer(answer);
api.listen(0, '127.0.0.1');
await once(api, 'listening');
const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;

await using server = await startRedis();
const redis = new Redis(server.url);
await using store = new RedisCredentialStore<AccessToken>(redis, { key: 'example:reports:access' });

let issued = 0;
/** Stands for a request to the OAuth server with client credentials: no person and no earlier token is needed. */
async function issue(): Promise<AccessToken> {
  issued += 1;
  return { accessToken: token(issued) };
}
const auth = new Reauthenticator(store, { refresh: issue, login: issue, minIntervalMs: 10 });

/** A request that is made again with the next token when it got a 401, or was aborted because another one did. */
function get(path: string): Promise<string> {
  return auth.use(
    async ({ accessToken }, { signal }) => {
      const headers = { authorization: `Bearer ${accessToken}` };
      try {
        const response = await fetch(`${url}${path}`, { headers, signal });
        if (response.status === 401) throw new Unauthorized();
        const text = response.text();
        answers.emit('begun');
        return await text;
      } catch (error) {
        if (signal.aborted) console.log(`${path} was aborted: ${typeOf(signal.reason)}`);
        throw error;
      }
    },
    // A fetch that is aborted rejects with the signal's reason: an error that has the change of the token.
    { rejected: (outcome) => outcome instanceof Unauthorized || typeOf(outcome) === 'rejected' },
  );
}

class Unauthorized extends Error {
  readonly status = 401;
}

function typeOf(reason: unknown): string | undefined {
  return reason instanceof WithdrawnError ? reason.change.type : undefined;
}

/** Resolves when an answer of the API has begun to arrive. */
async function begun(): Promise<void> {
  await once(answers, 'begun');
}

// 1. Another request is refused with the token that the report is being made with.
const report = get('/report');
await begun();
console.log('the report is under way');
revoked.add(token(1));
console.log('/me:', await get('/me'));
console.log('/report:', await report);
console.log('tokens issued:', issued);

// 2. Somebody clears the token, in this process or another. There is nothing to try again with.
revoked.clear();
await store.save({ accessToken: token(1) });
// The rejection may come before `clear` resolves, so that it is handled from the start.
const second = get('/report').catch((error: unknown) => {
  if (!(error instanceof WithdrawnError)) throw error;
  const { type, reason } = error.change;
  return `${type}, ${reason}`;
});
await begun();
console.log('another report is under way');
await store.clear({ reason: 'the token has leaked' });
console.log('/report:', await second);
await auth.credentials().catch((error: unknown) => {
  console.log('a request after that:', (error as Error).message);
});

await auth.close();
redis.disconnect();
api.closeAllConnections();
api.close();
