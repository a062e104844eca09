/** One of the demo's processes: watches the credential and tells the process that started it. */
import { Redis } from 'ioredis';

import { RedisCredentialStore } from 'credstream';

import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import { LoginKeeper } from '../login/login-keeper.js';
import { loginOptions } from '../login/login-options.js';
import type { FromInstance, ToInstance } from './remote-instance.js';
import { useToken, watch } from './watching.js';

const { DEMO_REDIS_URL: url, DEMO_STORE: options, DEMO_LOGINS: logins } = process.env;

// Never connects: the store makes its own connections after this pattern.
const redis = new Redis(url!, { lazyConnect: true });
const store = new RedisCredentialStore<AccessToken>(
  redis,
  JSON.parse(options!) as { key: string; pollMs: number },
);
let keeper: LoginKeeper | undefined;

function send(message: FromInstance): void {
  process.send?.(message);
}

async function end(): Promise<void> {
  await keeper?.stop();
  await store.close();
  redis.disconnect();
  process.disconnect();
}

async function obey(message: ToInstance): Promise<void> {
  switch (message.do) {
    case 'use token': {
      const status = await useToken(store, message.url);
      send({ kind: 'used', ...(status !== undefined && { status }) });
      break;
    }
    case 'use login':
      send({ kind: 'used', status: await keeper!.use(message.url) });
      break;
    case 'keep login': {
      const tokens = new RedisCredentialStore<Tokens>(redis, {
        ...loginOptions,
        ...(JSON.parse(logins!) as { key: string; pollMs: number }),
      });
      keeper = await LoginKeeper.start(tokens, message.settings, (news) =>
        send({ kind: 'news', news }),
      );
      send({ kind: 'keeping' });
      break;
    }
    case 'set gate':
      keeper!.setGate(message.open);
      break;
    case 'tell what was asked':
      send({ kind: 'asked', asked: keeper!.asked });
  }
}

process.on('message', (message: ToInstance) => void obey(message));
process.once('SIGTERM', () => void end());
process.once('disconnect', () => void Promise.all([keeper?.stop(), store.close()]));
// Who started it may be gone before it could listen.
if (!process.connected) process.exit();

const notifications = await watch(store, (change) => send({ kind: 'told', change }));
send({ kind: 'ready', notifications });
