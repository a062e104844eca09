import { randomUUID } from 'node:crypto';

import type { Redis } from 'ioredis';
import { inject } from 'vitest';

import { type Lifetime, useCleanup } from './cleanup.js';
import { type ClientOptions, connect, disconnect, type RedisTarget } from './redis-clients.js';
import {
  findRedis,
  type RedisProvider,
  type RedisServer,
  type StartOptions,
} from './redis-server/index.js';
import { createTcpProxy, type TcpProxy } from './tcp-proxy.js';

export { type ClientOptions, connect, disconnect, type RedisTarget } from './redis-clients.js';

let provider: Promise<RedisProvider> | undefined;

/** A server of one's own, for tests that kill, suspend, restart or configure it. Who calls it stops it. */
export async function startRedis(options?: StartOptions): Promise<RedisServer> {
  provider ??= findRedis();
  return (await provider).start(options);
}

/** A key prefix that no other test has, also not in another process on the same server. */
export function uniquePrefix(label = 't'): string {
  return `${label}:${randomUUID().slice(0, 13)}:`;
}

/** A key that no other test has. */
export function uniqueKey(label = 'key'): string {
  return `${uniquePrefix()}${label}`;
}

/** What a test that talks to Redis uses; all of it ends with the test. */
export interface RedisForTests {
  /** The server that the whole run shares: no FLUSHALL, no CONFIG, no counting of commands there. */
  readonly url: string;
  readonly connect: (target?: RedisTarget, options?: ClientOptions) => Redis;
  readonly startRedis: (options?: StartOptions) => Promise<RedisServer>;
  /** A proxy in front of a server. */
  readonly proxy: (target: RedisServer) => Promise<TcpProxy>;
  /** Ends something else in the right order among these: the last one made ends first. */
  readonly track: <T>(resource: T, end: (resource: T) => unknown) => T;
}

/** Call it at the top of a file or in a `describe`; see {@link useCleanup}. */
export function useRedis(lifetime: Lifetime = 'test'): RedisForTests {
  const { track } = useCleanup(lifetime);
  const url = inject('redisUrl');
  return {
    url,
    connect: (target = url, options = {}) => track(connect(target, options), disconnect),
    startRedis: async (options) => track(await startRedis(options), (server) => server.stop()),
    proxy: async (target) => track(await createTcpProxy({ target }), (proxy) => proxy.close()),
    track,
  };
}
