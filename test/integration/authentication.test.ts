import type { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { describe, expect, it } from 'vitest';

import { RefusedError, type StoreStatus } from 'credstream';

import { disconnect } from '../support/redis-clients.js';
import { startRedis } from '../support/redis.js';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { collect, type Collected, eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { brings, bytesOf, HINTS_ONLY, NOTIFICATIONS, useWorld } from './world.js';

const world = useWorld();

const EVERYTHING = '+@all ~* &*';
/** No jitter, and the pauses as short as they can be. */
const random = (): number => 0;

const unauthorized = ({ link }: StoreStatus): boolean => link === 'unauthorized';
const live = ({ link }: StoreStatus): boolean => link === 'live';
const linksIn = (statuses: Collected<StoreStatus>): string[] =>
  statuses.values.map(({ link }) => link);

async function through(): Promise<TcpProxy> {
  const link = await createTcpProxy({ target: world.server });
  return world.track(link, () => link.close());
}

/** What an application does whose secret store has given it a new password. */
function learn(client: Redis, password: string): void {
  client.options.password = password;
}

describe('with a wrong password', () => {
  it('a store is unauthorized, and connects ever more seldom', async () => {
    const user = await makeUser(world, EVERYTHING);
    const link = await through();
    const client = user.connect({ password: 'wrong' }, link.url);
    const store = world.store(client, { random });
    const startedAt = performance.now();

    const failure = await store.ready().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RefusedError);
    expect(failure).toMatchObject({ reply: 'WRONGPASS', retryable: false, id: store.id });
    expect(store.status).toMatchObject({
      link: 'unauthorized',
      freshness: 'unknown',
      error: { reply: 'WRONGPASS', message: (failure as RefusedError).message },
      maxLagMs: undefined,
    });
    await eventually(() => expect(link.accepted).toBe(3));
    // After half a second, and then a whole one.
    expect(performance.now() - startedAt).toBeGreaterThan(1_400);
  });

  it('calls fail at once, each with one connection', async () => {
    const user = await makeUser(world, EVERYTHING);
    const link = await through();
    const store = world.store(user.connect({ password: 'wrong' }, link.url));
    const refused = expect.objectContaining({ code: 'REFUSED', reply: 'WRONGPASS' }) as Error;
    await expect(store.load()).rejects.toEqual(refused);
    await expect(store.save({ token: 'a' })).rejects.toEqual(refused);
    await expect(store.clear()).rejects.toEqual(refused);
    await expect(store.update(() => ({ token: 'a' }))).rejects.toEqual(refused);
    // A save also looks at what is there, over the same connection if it gets one.
    expect(link.accepted).toBeLessThanOrEqual(6);
    expect(await world.connect().exists(store.id)).toBe(0);
  });

  it('a store recovers when the password of the client is set right', async () => {
    const user = await makeUser(world, EVERYTHING);
    const client = user.connect({ password: 'wrong' });
    const store = world.store(client, { ...HINTS_ONLY, random });
    const statuses = collect(store.status$);
    await expect(store.ready()).rejects.toMatchObject({ reply: 'WRONGPASS' });
    learn(client, 'secret');
    await statuses.next(live);
    await store.save({ token: 'a' });
    expect(store.current?.credentials).toEqual({ token: 'a' });
    expect(store.status).toMatchObject({ link: 'live', error: undefined });
  });

  it('a store recovers when the password at the server is set right', async () => {
    const user = await makeUser(world, EVERYTHING);
    const client = user.connect({ password: 'of tomorrow' });
    const store = world.store(client, { ...HINTS_ONLY, random });
    const statuses = collect(store.status$);
    await expect(store.ready()).rejects.toMatchObject({ reply: 'WRONGPASS' });
    await user.setRights('>of tomorrow');
    await statuses.next(live);
    expect(linksIn(statuses)).toEqual(['idle', 'connecting', 'unauthorized', 'connecting', 'live']);
  });

  it.each([2, 3] as const)(
    'a store without a password is unauthorized, too, with RESP%i',
    async (protocol) => {
      const server = await startRedis({ config: { ...NOTIFICATIONS, requirepass: 'open-sesame' } });
      world.track(server, () => server.stop());
      const client = world.connect({ protocol, lazyConnect: true }, server.url);
      const store = world.store(client, { ...HINTS_ONLY, random });
      const statuses = collect(store.status$);
      await expect(store.ready()).rejects.toMatchObject({ reply: 'NOAUTH' });
      await expect(store.load()).rejects.toMatchObject({ reply: 'NOAUTH' });
      learn(client, 'open-sesame');
      await statuses.next(live);
      await store.save({ token: 'a' });
      expect(await store.load()).toEqual({ token: 'a' });
    },
  );
});

describe('a password that is rotated', () => {
  it('is taken from the client for the next connection, without any gap', async () => {
    const admin = world.connect();
    const user = await makeUser(world, EVERYTHING);
    const client = user.connect();
    const { store, key, changes } = await world.watch(client);
    await store.save({ token: 'before' });
    const statuses = collect(store.status$);

    for (const password of ['second', 'third']) {
      await user.setRights('resetpass', `>${password}`);
      learn(client, password);
      await admin.call('CLIENT', 'KILL', 'USER', user.name);
      await admin.set(key, bytesOf(password));
      expect(await changes.next(brings(password))).toMatchObject({ source: 'resync' });
      await eventually(async () => expect(await store.load()).toEqual({ token: password }));
      await store.save({ token: `saved with the ${password}` });
    }
    expect(linksIn(statuses)).not.toContain('unauthorized');
  });

  it('may come with a new user name', async () => {
    const admin = world.connect();
    const [old, next] = [await makeUser(world, EVERYTHING), await makeUser(world, EVERYTHING)];
    const client = old.connect();
    const { store } = await world.watch(client);
    client.options.username = next.name;
    await admin.call('ACL', 'DELUSER', old.name);
    await eventually(async () => {
      await store.save({ token: 'a' });
    });
    await eventually(() => expect(store.status.link).toBe('live'));
    const list = (await admin.client('LIST')) as string;
    expect(list).toContain(`user=${next.name}`);
    expect(list).not.toContain(`user=${old.name}`);
  });

  it('leaves a store unauthorized until the client has the new one', async () => {
    const admin = world.connect();
    const user = await makeUser(world, EVERYTHING);
    const client = user.connect();
    const { store, key, changes } = await world.watch(client, { random });
    await store.save({ token: 'before' });
    const statuses = collect(store.status$);

    await user.setRights('resetpass', '>another');
    await admin.call('CLIENT', 'KILL', 'USER', user.name);
    const status = await statuses.next(unauthorized);
    expect(status).toMatchObject({ freshness: 'stale', error: { reply: 'WRONGPASS' } });
    expect(status.staleSince).toBeLessThanOrEqual(Date.now());
    // It cannot vouch for what it holds, and may still serve it for maxStalenessMs.
    expect(store.current?.credentials).toEqual({ token: 'before' });

    await admin.set(key, bytesOf('meanwhile'));
    learn(client, 'another');
    expect(await changes.next(brings('meanwhile'))).toMatchObject({ source: 'resync' });
    expect(await statuses.next(live)).toMatchObject({ freshness: 'fresh', staleSince: undefined });
  });
});

describe('a token of a cloud, which lasts minutes,', () => {
  const majors: readonly (readonly [string, (url: string, options: object) => Redis])[] = [
    ['ioredis 6', (url, options) => world.connect(options, url)],
    [
      'ioredis 5',
      (url, options) => {
        const client = new Redis5(url, { ...options, autoResubscribe: false });
        client.on('error', () => {});
        return world.track(client as unknown as Redis, disconnect);
      },
    ],
  ];

  it.each(majors)(
    'is taken from the client for every connection, also that of WAIT, with %s',
    async (_name, makeClient) => {
      const admin = world.connect();
      const user = await makeUser(world, EVERYTHING);
      const link = await through();
      const account = { username: user.name, password: 'secret', lazyConnect: true };
      const client = makeClient(link.url, account);
      const { store, key, changes } = await world.watch(client, { random });
      await store.save({ token: 'first' }, { replicas: 1, replicaTimeoutMs: 10 });
      const statuses = collect(store.status$);
      let old = 'secret';
      for (const token of ['second', 'third', 'fourth']) {
        // Both hold until the client has the new one: a link may be opened at any moment.
        await user.setRights(`>${token}`);
        expect(await store.load()).toBeDefined();
        learn(client, token);
        // A link that was being opened with the old one must be through before that is refused.
        await admin.call('CLIENT', 'KILL', 'USER', user.name);
        await eventually(async () => {
          expect(store.status.link).toBe('live');
          await store.save({ token: `${token}, learned` }, { replicas: 1, replicaTimeoutMs: 10 });
        });
        await user.setRights(`<${old}`);
        old = token;
        const accepted = link.accepted;
        await admin.call('CLIENT', 'KILL', 'USER', user.name);
        await admin.set(key, bytesOf(token));
        await changes.next(brings(token));
        await eventually(async () => {
          const receipt = await store.save(
            { token: `${token}, saved` },
            { replicas: 1, replicaTimeoutMs: 10 },
          );
          expect(receipt).toEqual({ announced: true, replicas: 0 });
        });
        // The feed, the commands, the replicas, with ioredis 5 the reads; and one more if a write met a connection that was just ending.
        expect(link.accepted - accepted).toBeLessThanOrEqual(5);
      }
      expect(linksIn(statuses)).not.toContain('unauthorized');
      expect(client.status).toBe('wait');
    },
  );

  it.each(majors)(
    'that has ended makes a store unauthorized, not busy, until there is another, with %s',
    async (_name, makeClient) => {
      const admin = world.connect();
      const user = await makeUser(world, EVERYTHING);
      const link = await through();
      const account = { username: user.name, password: 'secret', lazyConnect: true };
      const client = makeClient(link.url, account);
      const { store } = await world.watch(client, { random });
      await store.save({ token: 'before' });
      const statuses = collect(store.status$);
      await user.setRights('resetpass', '>next');
      await admin.call('CLIENT', 'KILL', 'USER', user.name);
      expect((await statuses.next(unauthorized)).error).toMatchObject({ reply: 'WRONGPASS' });
      const accepted = link.accepted;
      const from = performance.now();
      await eventually(() => expect(link.accepted).toBeGreaterThan(accepted));
      expect(performance.now() - from).toBeGreaterThan(400);
      const failure = await store
        .save({ token: 'x' }, { replicas: 1 })
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'REFUSED', reply: 'WRONGPASS' });
      learn(client, 'next');
      // At once for who calls, by itself for who watches.
      await store.save({ token: 'after' });
      await statuses.next(live);
      await eventually(() => expect(store.current?.credentials).toEqual({ token: 'after' }));
    },
  );
});

describe('revoked rights', () => {
  it('to the key make a store unauthorized, which recovers when they are granted again', async () => {
    const admin = world.connect();
    const user = await makeUser(world, EVERYTHING);
    const { store, key, changes } = await world.watch(user.connect(), { heartbeatMs: 50 });
    await store.save({ token: 'before' });
    const statuses = collect(store.status$);

    await user.setRights('resetkeys', '~elsewhere:*');
    expect(await statuses.next(unauthorized)).toMatchObject({
      freshness: 'stale',
      error: { reply: 'NOPERM' },
    });
    await expect(store.load()).rejects.toMatchObject({ reply: 'NOPERM' });
    await expect(store.save({ token: 'x' })).rejects.toMatchObject({ reply: 'NOPERM' });
    await admin.set(key, bytesOf('meanwhile'));

    await user.setRights('~*');
    await changes.next(brings('meanwhile'));
    expect(await statuses.next(live)).toMatchObject({ freshness: 'fresh', error: undefined });
    await store.save({ token: 'after' });
    expect(store.current?.credentials).toEqual({ token: 'after' });
  });

  it('to the key make a store withhold its credential after maxStalenessMs', async () => {
    const user = await makeUser(world, EVERYTHING);
    const options = { heartbeatMs: 50, maxStalenessMs: 200 };
    const { store } = await world.watch(user.connect(), options);
    await store.save({ token: 'a' });
    const states = collect(store.state$);
    await user.setRights('resetkeys');
    await states.next(({ type }) => type === 'withheld');
    expect(store.current).toBeUndefined();
    await user.setRights('~*');
    await states.next(({ type }) => type === 'present');
    expect(store.current?.credentials).toEqual({ token: 'a' });
  });

  it('to the channels leave polling, and are used again from the next connection after they are granted', async () => {
    const admin = world.connect();
    const user = await makeUser(world, EVERYTHING);
    const { store, key, changes } = await world.watch(user.connect(), { pollMs: 50 });
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    const statuses = collect(store.status$);

    // Redis ends the connections that are subscribed to them.
    await user.setRights('resetchannels');
    await statuses.next(
      ({ link, notifications }) => link === 'live' && notifications === 'polling',
    );
    await admin.set(key, bytesOf('polled'));
    await changes.next(brings('polled'));

    await user.setRights('allchannels');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await admin.call('CLIENT', 'KILL', 'USER', user.name);
    await statuses.next(({ notifications }) => notifications === 'keyspace');
    await admin.set(key, bytesOf('heard'));
    await changes.next(brings('heard'));
    expect(linksIn(statuses)).not.toContain('unauthorized');
  });

  it('of a deleted user make a store unauthorized, which recovers when the user is back', async () => {
    const admin = world.connect();
    const user = await makeUser(world, EVERYTHING);
    const { store } = await world.watch(user.connect(), { random });
    const statuses = collect(store.status$);
    await admin.call('ACL', 'DELUSER', user.name);
    expect((await statuses.next(unauthorized)).error).toMatchObject({ reply: 'WRONGPASS' });
    await user.setRights('on', '>secret', ...EVERYTHING.split(' '));
    await statuses.next(live);
    await store.save({ token: 'a' });
    expect(store.current?.credentials).toEqual({ token: 'a' });
  });
});
