import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { describe, expect, it } from 'vitest';

import { ConflictError, UnreadableError } from 'credstream';

import { disconnect } from '../support/redis-clients.js';
import { type ClientOptions, uniqueKey } from '../support/redis.js';
import { expectEndOf } from '../support/expect-end.js';
import { collect, eventually } from '../support/wait.js';
import { connectionsOf, storeConnections } from './connections.js';
import { brings, bytesOf, ofType, useWorld } from './world.js';

const world = useWorld();

interface Kind {
  readonly name: string;
  readonly resp: 2 | 3;
  readonly make: (url: string, options: ClientOptions) => Redis;
}

const kinds: readonly Kind[] = [
  { name: 'ioredis 6', resp: 3, make: (url, options) => new Redis(url, options) },
  {
    name: 'ioredis 6 with protocol 2',
    resp: 2,
    make: (url, options) => new Redis(url, { ...options, protocol: 2 }),
  },
  {
    name: 'ioredis 5',
    resp: 2,
    // The types of the two versions differ in what this package does not use.
    make: (url, options) => new Redis5(url, options as object) as unknown as Redis,
  },
];

describe.each(kinds)('a store over $name', ({ make, resp }) => {
  const client = (options: ClientOptions = {}): Redis => {
    const made = make(world.server.url, options);
    made.on('error', () => {});
    return world.track(made, disconnect);
  };

  it('saves, loads, reads and clears', async () => {
    const redis = world.connect();
    const store = world.store(client());
    const key = store.id;

    expect(await store.load()).toBeUndefined();
    expect(await store.save({ token: 'a' }, { ttlSeconds: 60 })).toEqual({ announced: true });
    expect(await redis.get(key)).toBe(bytesOf('a'));
    expect(await redis.pttl(key)).toBeGreaterThan(58_000);
    expect(await store.load()).toEqual({ token: 'a' });

    const snapshot = await store.read();
    expect(snapshot?.credentials).toEqual({ token: 'a' });
    await expectEndOf(redis, key, snapshot?.expiresAt);

    await store.save({ token: 'b' }, { ttlSeconds: 'keep' });
    await expectEndOf(redis, key, snapshot?.expiresAt);
    await store.save({ token: 'c' });
    expect(await redis.pttl(key)).toBe(-1);
    expect(await store.clear()).toBe(true);
    expect(await store.clear()).toBe(false);
    expect(await redis.exists(key)).toBe(0);
  });

  it('keeps every byte', async () => {
    const redis = world.connect();
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
    const store = world.store<Buffer>(client(), {
      serialize: (one) => one,
      deserialize: (one) => one,
    });
    await store.save(bytes);
    expect(await redis.getBuffer(store.id)).toEqual(bytes);
    expect(await store.load()).toEqual(bytes);
  });

  it('saves with onlyIf only over the expected bytes', async () => {
    const redis = world.connect();
    const store = world.store(client());
    await store.save({ token: 'a' }, { onlyIf: 'absent' });
    const seen = (await store.read())!;
    expect(await store.save({ token: 'b' }, { onlyIf: seen, ttlSeconds: 60 })).toEqual({
      announced: true,
    });
    expect(await redis.pttl(store.id)).toBeGreaterThan(58_000);

    await expect(store.save({ token: 'c' }, { onlyIf: seen })).rejects.toThrow(ConflictError);
    await expect(store.save({ token: 'c' }, { onlyIf: 'absent' })).rejects.toThrow(ConflictError);
    await expect(store.clear({ onlyIf: seen })).rejects.toThrow(ConflictError);
    expect(await redis.get(store.id)).toBe(bytesOf('b'));

    const updated = await store.update((current) => ({ token: `${current!.token}c` }));
    expect(updated).toMatchObject({ written: true, credentials: { token: 'bc' }, attempts: 1 });
    const last = (await store.read())!;
    expect(await store.clear({ onlyIf: last })).toBe(true);
    expect(await redis.exists(store.id)).toBe(0);
  });

  it('runs its scripts also after Redis has forgotten them', async () => {
    const redis = world.connect();
    const store = world.store(client());
    await store.update(() => ({ token: 'a' }));
    await store.update(() => ({ token: 'b' }));
    await redis.script('FLUSH');
    await store.update(() => ({ token: 'c' }));
    expect(await store.load()).toEqual({ token: 'c' });
  });

  it('emits the changes of other instances with their origin', async () => {
    const { store, key, changes } = await world.watch(client());
    const elsewhere = world.store(client(), { key });
    const redis = world.connect();

    await elsewhere.save({ token: 'a' }, { reason: 'login' });
    expect(await changes.next()).toMatchObject({
      type: 'saved',
      origin: { instance: expect.any(String) as string, name: expect.any(String) as string },
      reason: 'login',
      source: 'live',
    });
    await redis.setex(key, 60, bytesOf('b'));
    expect(await changes.next()).toMatchObject({ type: 'saved', origin: 'out-of-band' });
    await redis.expire(key, 600);
    expect(await changes.next()).toMatchObject({ type: 'renewed', origin: 'out-of-band' });
    await store.save({ token: 'c' });
    expect(await changes.next()).toMatchObject({ type: 'saved', origin: 'self' });
    await redis.set(key, 'not JSON');
    expect(await changes.next()).toMatchObject({ type: 'unreadable', origin: 'out-of-band' });
    await redis.set(key, bytesOf('d'));
    expect(await changes.next()).toMatchObject({ type: 'saved', previous: undefined });
    await elsewhere.clear({ reason: 'logout' });
    expect(await changes.next()).toMatchObject({
      type: 'cleared',
      origin: { instance: expect.any(String) as string, name: expect.any(String) as string },
      reason: 'logout',
    });
    expect(changes.values).toHaveLength(7);
  });

  it('emits an expiry at its end, without notifications too', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(client());
    const ending = collect(store.expiring$(400));
    await redis.set(key, bytesOf('short'), 'PX', 800);
    const { snapshot } = await changes.next(ofType('saved'));
    expect((await ending.next()).credentials).toEqual({ token: 'short' });
    expect(store.current).toBe(snapshot);

    const expired = await changes.next(ofType('expired'));
    expect(expired.at).toBeGreaterThan(snapshot.expiresAt!);
    expect(expired.previous).toBe(snapshot);
    expect(store.current).toBeUndefined();
    expect(snapshot.signal.aborted).toBe(true);
  });

  it('detects the mode and serves from memory', async () => {
    const { store, changes } = await world.watch(client());
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh', announcing: true });
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    await store.save({ token: 'a' });
    expect(store.current?.credentials).toEqual({ token: 'a' });
    expect(changes.values).toHaveLength(1);
  });

  it('catches up after its connections were killed', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(client());
    await store.save({ token: 'a' });
    const ours = await storeConnections(redis);
    await redis.multi().call('CLIENT', 'KILL', 'TYPE', 'pubsub').set(key, bytesOf('b')).exec();
    expect(await changes.next(brings('b'))).toMatchObject({ source: 'resync' });
    await eventually(() => expect(store.status.link).toBe('live'));
    await redis.set(key, bytesOf('c'));
    expect(await changes.next(brings('c'))).toMatchObject({ source: 'live' });
    expect(await storeConnections(redis)).toHaveLength(ours.length);
  });

  it('leaves a list at its key alone', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(client());
    const list = uniqueKey('list');
    await redis.rpush(list, 'x');
    await redis.rename(list, key);
    expect(await changes.next(ofType('unreadable'))).toMatchObject({
      error: { reason: 'wrong-type' },
    });
    await expect(store.save({ token: 'a' })).rejects.toThrow(UnreadableError);
    expect(await redis.lrange(key, 0, -1)).toEqual(['x']);
  });

  it('speaks the protocol of the client on all connections', async () => {
    const redis = world.connect();
    const { store } = await world.watch(client());
    await store.save({ token: 'a' });
    const ours = await storeConnections(redis);
    const reads = resp === 2 ? ['credstream:reads'] : [];
    const names = ['credstream:commands', 'credstream:feed', ...reads];
    expect(ours.map(({ name }) => name).sort()).toEqual(names);
    expect(new Set(ours.map((one) => one['resp']))).toEqual(new Set([String(resp)]));
  });

  it('sends nothing on the client itself and leaves its listeners alone', async () => {
    const redis = world.connect();
    const template = client({ lazyConnect: true, connectionName: uniqueKey('template') });
    const before = template.eventNames().map((name) => [name, template.listenerCount(name)]);
    const { store, key, changes } = await world.watch(template);
    await store.save({ token: 'a' });
    await redis.set(key, bytesOf('b'));
    await changes.next(brings('b'));
    expect(template.status).toBe('wait');
    expect(await connectionsOf(redis, template.options.connectionName!)).toEqual([]);
    await store.close();
    expect(template.status).toBe('wait');
    expect(template.eventNames().map((name) => [name, template.listenerCount(name)])).toEqual(
      before,
    );
    // It is as good as new.
    expect(await template.get(key)).toBe(bytesOf('b'));
  });
});
