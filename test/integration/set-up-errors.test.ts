import { createServer, type Server } from 'node:net';

import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { Redis as Redis54 } from 'ioredis54';
import { describe, expect, it, vi } from 'vitest';

import {
  type CredstreamError,
  RedisCredentialDirectory,
  RedisCredentialStore,
  RefusedError,
  UnavailableError,
} from 'credstream';

import { disconnect } from '../support/redis-clients.js';
import { startRedisCluster } from '../support/redis-cluster/index.js';
import { startRedis } from '../support/redis.js';
import { makeUser } from './users.js';
import { useWorld } from './world.js';

const world = useWorld();

/** The options of a client of ioredis 6 or 5, which report a refused handshake in different ways. */
const clients = [
  ['ioredis 6', (options: object) => new Redis({ lazyConnect: true, ...options })],
  [
    'ioredis 5',
    (options: object) =>
      new Redis5({ lazyConnect: true, ...options }) as unknown as InstanceType<typeof Redis>,
  ],
  [
    'ioredis 5.4.0, the lowest of the range',
    (options: object) =>
      new Redis54({ lazyConnect: true, ...options }) as unknown as InstanceType<typeof Redis>,
  ],
] as const;

/** The calls of a store, each on a store of its own, so that none profits from what another one learned. */
const calls = {
  ready: (store: RedisCredentialStore<string>) => store.ready(),
  load: (store: RedisCredentialStore<string>) => store.load(),
  save: (store: RedisCredentialStore<string>) => store.save('a'),
} as const;

async function expectTold(
  client: () => Redis | Cluster,
  wanted: { readonly says: RegExp; readonly retryable: boolean; readonly port: number },
): Promise<void> {
  const told = await Promise.all(
    Object.values(calls).map(async (call) => {
      const own = client();
      own.on('error', () => {});
      const store = new RedisCredentialStore<string>(own, { key: 'token' });
      world.track(store, async (one) => {
        await one.close();
        own.disconnect();
      });
      return call(store).then(
        () => 'no error',
        (error: unknown) => error as CredstreamError,
      );
    }),
  );
  for (const error of told) {
    expect(error).toMatchObject({ id: 'token', retryable: wanted.retryable });
    expect(error).toBeInstanceOf(wanted.retryable ? UnavailableError : RefusedError);
    expect((error as Error).message).toMatch(wanted.says);
    expect((error as Error).message).toContain(`:${String(wanted.port)}`);
  }
}

function closedBy(reply: string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {}).end(reply));
  world.track(server, (one) => one.close());
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const portOf = (server: Server): number => (server.address() as { port: number }).port;

describe.each(clients)('a mistake in a set-up is told at once, with %s:', (_major, make) => {
  it('a wrong password', async () => {
    const user = await makeUser(world, '+@all ~* &*');
    const { port } = world.server;
    await expectTold(() => make({ port, username: user.name, password: 'wrong' }), {
      says: /WRONGPASS invalid username-password pair/,
      retryable: false,
      port,
    });
  });

  it('a missing right', async () => {
    const user = await makeUser(world, '-@all +hello +ping ~* &*');
    const { port } = world.server;
    await expectTold(() => make({ port, username: user.name, password: 'secret' }), {
      says: /NOPERM no permissions to run the '\w+' command/,
      retryable: false,
      port,
    });
  });

  it('a wrong database', async () => {
    const { port } = world.server;
    await expectTold(() => make({ port, db: 99 }), {
      says: /ERR DB index is out of range/,
      retryable: false,
      port,
    });
  });

  it('no right to SELECT, and nothing is written into database 0', async () => {
    const user = await makeUser(world, '+@all -select ~* &*');
    const { port } = world.server;
    await expectTold(() => make({ port, username: user.name, password: 'secret', db: 3 }), {
      says: /NOPERM no permissions to run the 'select' command/,
      retryable: false,
      port,
    });
    expect(await world.connect().exists('token')).toBe(0);
  });

  it('more clients than the server takes', async () => {
    const server = await startRedis({ config: { maxclients: '1' } });
    world.track(server, (one) => one.stop());
    const holder = world.track(new Redis({ port: server.port }), disconnect);
    await holder.ping();
    await expectTold(() => make({ port: server.port }), {
      says: /max number of clients reached/,
      retryable: true,
      port: server.port,
    });
  });

  it.each(['Redis is running', 'Running'])('protected mode, as servers say: %s', async (words) => {
    const port = portOf(await closedBy(`-DENIED ${words} in protected mode because …\r\n`));
    await expectTold(() => make({ port }), {
      says: /DENIED Redis is running in protected mode/,
      retryable: false,
      port,
    });
  });

  it('a proxy that refuses every command', async () => {
    const proxy = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        for (const _command of data.toString().matchAll(/^\*\d+\r$/gm))
          socket.write('-ERR unknown command `secret-of-the-proxy`\r\n');
      });
    });
    world.track(proxy, (one) => one.close());
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    await expectTold(() => make({ port: portOf(proxy) }), {
      says: /ERR unknown command$/,
      retryable: false,
      port: portOf(proxy),
    });
  });
});

describe('a client of the wrong kind', () => {
  it('of a cluster, for a server without one', async () => {
    const { port } = world.server;
    await expectTold(() => new Cluster([{ port, host: '127.0.0.1' }], { lazyConnect: true }), {
      says: /cluster support disabled/,
      retryable: false,
      port,
    });
  });

  it('of one server, for a cluster', async () => {
    const cluster = await startRedisCluster({ masters: 3, replicasPerMaster: 0 });
    world.track(cluster, (one) => one.stop());
    // The slot of "token" belongs to one of the three; the other two redirect.
    const strangers: number[] = [];
    for (const { port, admin } of await cluster.masters())
      if (
        await admin.get('token').then(
          () => false,
          () => true,
        )
      )
        strangers.push(port);
    expect(strangers).toHaveLength(2);
    await expectTold(() => new Redis({ port: strangers[0]!, lazyConnect: true }), {
      says: /is part of a cluster: give a Cluster of ioredis/,
      retryable: false,
      port: strangers[0]!,
    });
  });
});

describe('the first failed connect', () => {
  it('is one warning, for all stores on the client', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      const client = new Redis({ port: world.server.port, db: 99, lazyConnect: true });
      const stores = ['a', 'b'].map((key) => new RedisCredentialStore(client, { key }));
      for (const store of stores) world.track(store, (one) => one.close());
      for (const store of [...stores, ...stores])
        await expect(store.load()).rejects.toMatchObject({ code: 'REFUSED' });
      expect(warn.mock.calls.map(([text]) => text)).toEqual([
        `Redis at localhost:${String(world.server.port)} refused: ERR DB index is out of range; the stores on this client keep trying`,
      ]);
    } finally {
      warn.mockRestore();
    }
  });

  it('is told to a directory, too', async () => {
    const client = new Redis({ port: world.server.port, db: 99, lazyConnect: true });
    const directory = new RedisCredentialDirectory(client, { prefix: 'tenant:' });
    world.track(directory, (one) => one.close());
    await expect(directory.ready()).rejects.toMatchObject({ code: 'REFUSED', id: undefined });
    await expect(directory.load('acme')).rejects.toMatchObject({ code: 'REFUSED', id: 'acme' });
    await expect(directory.load('other')).rejects.toMatchObject({ id: 'other' });
  });
});
