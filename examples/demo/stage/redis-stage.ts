import { randomUUID } from 'node:crypto';

import { Redis } from 'ioredis';

import { RedisCredentialStore } from 'credstream';

import type { Tokens } from '../../support/oauth-client.js';
import type { AccessToken } from '../access-token.js';
import { loginOptions } from '../login/login-options.js';
import type { DemoInstance } from '../instances/demo-instance.js';
import { startRemoteInstance } from '../instances/remote-instance.js';
import { serverDeadline } from './server-deadline.js';
import type { OutsideClient, Stage } from './stage.js';

/** How often a credential is looked at where Redis tells nothing of foreign writes. */
const POLL_MS = 500;

/** Sets the stage on a Redis: every instance is a process. */
export async function setRedisStage(
  redisUrl: string,
  instanceNames: readonly string[],
): Promise<Stage> {
  const options = { key: `credstream-demo:${randomUUID().slice(0, 8)}`, pollMs: POLL_MS };
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 1, commandTimeout: 10_000 });
  redis.on('error', () => {});
  const store = new RedisCredentialStore<AccessToken>(redis, options);
  // A lease cannot be shorter than one and a half times the wait for an answer.
  const login = { ...options, key: `${options.key}:login`, replyTimeoutMs: 1_000 };
  const logins = new RedisCredentialStore<Tokens>(redis, { ...loginOptions, ...login });
  let instances: readonly DemoInstance[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.allSettled(instances.map((instance) => instance.stop()));
    // Left behind when a scene was cut short.
    await redis.del(...keysOf(options.key), ...keysOf(login.key)).catch(() => {});
    await Promise.all([store.close(), logins.close()]);
    redis.disconnect();
  };
  try {
    instances = await startAll(
      instanceNames.map((name) =>
        startRemoteInstance(name, { redisUrl, store: options, logins: login }),
      ),
    );
    // The application's own connection is open from here on, as in any program that runs for a while.
    await store.load();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    key: options.key,
    store,
    logins,
    outside: outsideClient(redis, options.key),
    instances,
    [Symbol.asyncDispose]: dispose,
  };
}

/** The credential, and what the store remembers of it for an hour: that it was cleared, and the last attempt to replace it. */
function keysOf(key: string): string[] {
  return [key, ...['cleared', 'attempt'].map((kind) => `credstream:${kind}:{${key}}:${key}`)];
}

/** All of them, or none: what did start is stopped again. */
async function startAll(starting: readonly Promise<DemoInstance>[]): Promise<DemoInstance[]> {
  try {
    return await Promise.all(starting);
  } catch (error) {
    const results = await Promise.allSettled(starting);
    for (const result of results) if (result.status === 'fulfilled') await result.value.stop();
    throw error;
  }
}

function outsideClient(redis: Redis, key: string): OutsideClient {
  return {
    setex: async (seconds, value) => {
      await redis.setex(key, seconds, value);
    },
    expire: async (seconds) => {
      await redis.expire(key, seconds);
    },
    deadline: () => serverDeadline(redis, key),
  };
}
