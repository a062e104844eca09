import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import type { Redis } from 'ioredis';

import { CredentialMemory, MemoryCredentialDirectory, RedisCredentialDirectory } from 'credstream';

import { useCleanup } from '../support/cleanup.js';
import { connect, disconnect, startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import {
  type DirectoryPlace,
  PREFIX,
  registerDirectoryCases,
  type Token,
} from './directory-cases.js';

describe('MemoryCredentialDirectory', () => {
  const { track } = useCleanup();
  let memory = new CredentialMemory();
  beforeEach(() => {
    memory = new CredentialMemory();
  });
  const place: DirectoryPlace = {
    open: (options) =>
      track(
        new MemoryCredentialDirectory<Token>({ prefix: PREFIX, memory: memory, ...options }),
        (one) => one.close(),
      ),
    set: async (key, value, ttlMs) => memory.set(key, value, ttlMs === undefined ? {} : { ttlMs }),
    delete: async (key) => memory.delete(key),
    flush: async () => memory.flush(),
  };
  registerDirectoryCases(() => place);
});

describe.each([{ protocol: undefined }, { protocol: 2 as const }])(
  'RedisCredentialDirectory, protocol $protocol',
  (options) => {
    const { track } = useCleanup();
    let server: RedisServer;
    let admin: Redis;
    let client: Redis;
    beforeAll(async () => {
      server = await startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
      admin = connect(server);
      client = connect(server, options.protocol === undefined ? {} : options);
    });
    beforeEach(async () => {
      await admin.flushall();
    });
    afterAll(async () => {
      await disconnect(admin);
      await disconnect(client);
      await server.stop();
    });
    const place: DirectoryPlace = {
      open: (directoryOptions) =>
        track(
          new RedisCredentialDirectory<Token>(client, {
            prefix: PREFIX,
            heartbeatMs: 200,
            ...directoryOptions,
          }),
          (one) => one.close(),
        ),
      set: (key, value, ttlMs) =>
        ttlMs === undefined ? admin.set(key, value) : admin.set(key, value, 'PX', ttlMs),
      delete: (key) => admin.del(key),
      flush: () => admin.flushall(),
    };
    registerDirectoryCases(() => place);
  },
);
