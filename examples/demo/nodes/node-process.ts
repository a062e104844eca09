/** One of the demo's processes: watches the credential and tells the process that started it. */
import { Redis } from 'ioredis';

import { RedisCredentialStore } from 'credstream';

import type { AccessToken } from '../access-token.js';
import type { FromNode, ToNode } from './remote-node.js';
import { useToken, watch } from './watching.js';

const { DEMO_REDIS_URL: url, DEMO_STORE: options } = process.env;

// Never connects: the store makes its own connections after this pattern.
const redis = new Redis(url!, { lazyConnect: true });
const store = new RedisCredentialStore<AccessToken>(
  redis,
  JSON.parse(options!) as { key: string; pollMs: number },
);

function send(message: FromNode): void {
  process.send?.(message);
}

async function end(): Promise<void> {
  await store.close();
  redis.disconnect();
  process.disconnect();
}

process.on('message', (message: ToNode) => {
  void useToken(store, message.use).then((status) =>
    send({ kind: 'used', ...(status !== undefined && { status }) }),
  );
});
process.once('SIGTERM', () => void end());
process.once('disconnect', () => void store.close());
// Who started it may be gone before it could listen.
if (!process.connected) process.exit();

const notifications = await watch(store, (change) => send({ kind: 'told', change }));
send({ kind: 'ready', notifications });
