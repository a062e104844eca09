import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { type RedisCredentialStore, UnavailableError } from 'credstream';

import { uniqueKey } from '../support/redis.js';
import { createTcpProxy } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import { storeConnections } from './connections.js';
import { brings, bytesOf, HINTS_ONLY, type Token, useWorld } from './world.js';

const world = useWorld();

const FEED = 'credstream:feed';
const COMMANDS = 'credstream:commands';

async function open(redis: Redis): Promise<string[]> {
  return (await storeConnections(redis)).map(({ name }) => name ?? '').sort();
}

/** Redis notices a closed connection a moment after we have closed it. */
async function expectOpen(redis: Redis, names: readonly string[]): Promise<void> {
  await eventually(async () => expect(await open(redis)).toEqual(names));
}

async function received(redis: Redis): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await redis.info('stats'))?.[1]);
}

function many(client: Redis, count: number): RedisCredentialStore<Token>[] {
  return Array.from({ length: count }, () => world.store(client, HINTS_ONLY));
}

describe('the connections of the stores on one client', () => {
  it('are opened by the first use and not before', async () => {
    const redis = world.connect();
    const before = await received(redis);
    const [store] = many(world.connect({ lazyConnect: true }), 20);
    expect(await received(redis)).toBe(before);
    await store?.load();
    expect(await received(redis)).toBe(before + 1);
    expect(await open(redis)).toEqual([COMMANDS]);
  });

  it('are one for stores that only read and write, however many start at once', async () => {
    const redis = world.connect();
    const before = await received(redis);
    const stores = many(world.connect({ lazyConnect: true }), 30);
    await Promise.all(stores.map((store) => store.save({ token: 'a' })));
    await Promise.all(stores.map((store) => store.load()));
    expect(await received(redis)).toBe(before + 1);
    expect(await open(redis)).toEqual([COMMANDS]);
  });

  it('are two for a store that watches, because it probes for notifications', async () => {
    const redis = world.connect();
    const { store } = await world.watch(world.connect({ lazyConnect: true }));
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    expect(await open(redis)).toEqual([COMMANDS, FEED]);
  });

  it('are two however many stores watch, read and write', async () => {
    const redis = world.connect();
    const before = await received(redis);
    const stores = many(world.connect({ lazyConnect: true }), 30);
    await Promise.all(stores.map((store) => store.ready()));
    await Promise.all(stores.map((store) => store.save({ token: 'a' })));
    expect(stores.map(({ current }) => current?.credentials)).toEqual(
      stores.map(() => ({ token: 'a' })),
    );
    expect(await received(redis)).toBe(before + 2);
    expect(await open(redis)).toEqual([COMMANDS, FEED]);
  });

  it('belong to the client: another client has its own', async () => {
    const redis = world.connect();
    await world.watch(world.connect());
    const { store } = await world.watch(world.connect());
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    await expectOpen(redis, [COMMANDS, COMMANDS, FEED, FEED]);
  });

  it('last as long as any store is open, and are gone when the last is closed', async () => {
    const redis = world.connect();
    const client = world.connect();
    const [first, ...others] = await Promise.all(
      Array.from({ length: 5 }, () => world.watch(client)),
    );
    await Promise.all(others.map(({ store }) => store.close()));
    await expectOpen(redis, [COMMANDS, FEED]);
    await redis.set(first!.key, bytesOf('still watched'));
    await first!.changes.next(brings('still watched'));
    await first!.store.close();
    await expectOpen(redis, []);
    expect(client.status).toBe('ready');
  });

  it('are opened anew by the next stores on the same client', async () => {
    const redis = world.connect();
    const client = world.connect();
    const key = uniqueKey();
    for (const token of ['first round', 'second round', 'third round']) {
      const { store, changes } = await world.watch(client, { key });
      expect(await open(redis)).toContain(FEED);
      await redis.set(key, bytesOf(token));
      await changes.next(brings(token));
      await store.save({ token: `${token} saved` });
      expect(store.current?.credentials).toEqual({ token: `${token} saved` });
      await store.close();
      await expectOpen(redis, []);
    }
  });

  it('are closed for hints when no store watches any longer', async () => {
    const redis = world.connect();
    const store = world.store(world.connect(), HINTS_ONLY);
    const watching = store.changes$.subscribe();
    await eventually(() => expect(store.status.link).toBe('live'));
    watching.unsubscribe();
    expect(store.status.link).toBe('idle');
    await eventually(async () => expect(await open(redis)).not.toContain(FEED));
    await store.save({ token: 'a' });
    expect(await open(redis)).toEqual([COMMANDS]);
  });

  it('are two again after they were killed, time after time', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect());
    await eventually(async () => expect(await open(redis)).toEqual([COMMANDS, FEED]));
    for (const token of ['a', 'b', 'c']) {
      for (const { id } of await storeConnections(redis)) await redis.client('KILL', 'ID', id!);
      await redis.set(key, bytesOf(token));
      await changes.next(brings(token));
      await eventually(async () => {
        expect(await store.load()).toEqual({ token });
      });
      await expectOpen(redis, [COMMANDS, FEED]);
    }
  });

  it('may be lost under many calls without a warning', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listen);
    world.track(listen, () => process.off('warning', listen));

    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const stores = many(world.connect({}, link.url), 30);
    await Promise.all(stores.map((store) => store.load()));
    link.pause('toServer');
    const loads = stores.map((store) => store.load());
    link.cut();
    for (const load of await Promise.allSettled(loads)) {
      expect(load).toMatchObject({ reason: expect.any(UnavailableError) as Error });
    }
    link.resume();
    // Node emits warnings in a later tick.
    await eventually(async () => expect(await stores[0]?.load()).toBeUndefined());
    expect(warnings).toEqual([]);
  });

  it('are closed in whatever state they are', async () => {
    const redis = world.connect();
    const client = world.connect();
    const connecting = world.store(client, HINTS_ONLY);
    const ready = connecting.ready().then(
      () => 'live',
      () => 'closed',
    );
    await connecting.close();
    expect(await ready).toBe('closed');

    const saving = world.store(client, HINTS_ONLY);
    const saved = saving.save({ token: 'a' });
    await saving.close();
    expect(await saved).toEqual({ announced: true });
    expect(await redis.get(saving.id)).toBe(bytesOf('a'));
    await expectOpen(redis, []);
  });
});
