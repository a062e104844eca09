/**
 * Requests under way when their token is revoked. `authorizedFetch` sends one that got a 401 again with the next token, and leaves the others
 * alone, because they may still succeed. It aborts them when somebody has cleared the token.
 *
 *   npx tsx examples/09-abort-fetch-on-revocation.ts
 *
 * Takes the Redis at REDIS_URL, or starts one.
 */
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Redis } from 'ioredis';

import { authorizedFetch, Reauthenticator, RedisCredentialStore, WithdrawnError } from 'credstream';

import { startRedis } from './support/start-redis.js';

interface AccessToken {
  readonly accessToken: string;
}

// An API. It refuses revoked tokens, and sends the second half of a report when it is told to.
const revoked = new Set<string>();
const token = (number: number): string => `secret-token-${number}`;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const used = request.headers.authorization?.replace('Bearer ', '') ?? '';
  if (revoked.has(used)) {
    response.writeHead(401).end();
    return;
  }
  if (request.url === '/me') response.end('me');
  else {
    response.write('half of the ');
    reports.once('finish', () => response.end('report'));
  }
}

const reports = new EventEmitter();
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

const call = authorizedFetch(auth, { audience: url });

/** A request whose answer has begun to arrive, with the rest of its answer. */
async function begin(path: string): Promise<{ readonly text: Promise<string> }> {
  const response = await call(`${url}${path}`);
  return { text: response.text() };
}

// 1. Another request is refused with the token that the report is being made with. The report is not disturbed.
const report = await begin('/report');
console.log('a report is under way');
revoked.add(token(1));
console.log('/me:', await (await begin('/me')).text);
console.log('tokens issued:', issued);
reports.emit('finish');
console.log('/report:', await report.text);

// 2. Somebody clears the token, in this process or another. The report is aborted.
const second = await begin('/report');
// The rejection may come before `clear` resolves, so that it is handled from the start.
const outcome = second.text.catch((error: unknown) => {
  if (!(error instanceof WithdrawnError)) throw error;
  const { type, reason } = error.change;
  return `aborted: ${type}, ${reason}`;
});
console.log('another report is under way');
await store.clear({ reason: 'the token has leaked' });
console.log('/report', await outcome);
await auth.credentials().catch((error: unknown) => {
  console.log('a request after that:', (error as Error).message);
});

await auth.close();
redis.disconnect();
api.closeAllConnections();
api.close();
