import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import {
  EncodeError,
  InvalidOptionError,
  RedisCredentialStore,
  type UnreadableError,
} from 'credstream';

import { recordMonitor } from '../support/command-counter.js';
import { uniqueKey, uniquePrefix } from '../support/redis.js';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { brings, bytesOf, ofType, type Token, useWorld } from './world.js';

const world = useWorld();

const unreadable = (reason: UnreadableError['reason']): Error =>
  expect.objectContaining({ name: 'UnreadableError', code: 'UNREADABLE', reason }) as Error;

async function through(): Promise<TcpProxy> {
  const link = await createTcpProxy({ target: world.server });
  return world.track(link, () => link.close());
}

describe.each([
  { type: 'hash', make: (r: Redis, k: string) => r.hset(k, 'token', 'a') },
  { type: 'list', make: (r: Redis, k: string) => r.rpush(k, 'a') },
  { type: 'set', make: (r: Redis, k: string) => r.sadd(k, 'a') },
  { type: 'zset', make: (r: Redis, k: string) => r.zadd(k, 1, 'a') },
  { type: 'stream', make: (r: Redis, k: string) => r.xadd(k, '*', 'token', 'a') },
])('a $type at the key', ({ type, make }) => {
  it('is unreadable, and stays as it is under every call', async () => {
    const redis = world.connect();
    const store = world.store(world.connect());
    await make(redis, store.id);
    const dump = await redis.dumpBuffer(store.id);

    expect(await store.load()).toBeUndefined();
    const error = unreadable('wrong-type');
    await expect(store.read()).rejects.toEqual(error);
    await expect(store.save({ token: 'b' })).rejects.toEqual(error);
    await expect(store.save({ token: 'b' }, { ttlSeconds: 60 })).rejects.toEqual(error);
    await expect(store.save({ token: 'b' }, { onlyIf: 'absent' })).rejects.toThrow();
    await expect(store.update(() => ({ token: 'b' }))).rejects.toEqual(error);
    await expect(store.clear()).rejects.toEqual(error);
    expect(await redis.type(store.id)).toBe(type);
    expect(await redis.dumpBuffer(store.id)).toEqual(dump);
  });

  it('is left alone also by a store that has saved there before', async () => {
    const redis = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const snapshot = await store.read();
    await redis.del(store.id);
    await make(redis, store.id);
    const dump = await redis.dumpBuffer(store.id);

    await expect(store.clear()).rejects.toEqual(unreadable('wrong-type'));
    await expect(store.save({ token: 'b' })).rejects.toEqual(unreadable('wrong-type'));
    await expect(store.save({ token: 'b' }, { onlyIf: snapshot })).rejects.toThrow();
    await expect(store.clear({ onlyIf: snapshot })).rejects.toThrow();
    expect(await redis.dumpBuffer(store.id)).toEqual(dump);
  });

  it('is emitted to watchers as unreadable, until a credential is stored again', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect());
    await store.save({ token: 'a' });
    const other = uniqueKey(type);
    await make(redis, other);
    await redis.rename(other, key);
    const change = await changes.next(ofType('unreadable'));
    expect(change).toMatchObject({ error: { reason: 'wrong-type' }, origin: 'out-of-band' });
    expect(change.previous?.credentials).toEqual({ token: 'a' });
    expect(change.previous?.signal.aborted).toBe(true);
    expect(store.current).toBeUndefined();
    await expect(store.save({ token: 'b' })).rejects.toEqual(unreadable('wrong-type'));
    await expect(store.clear()).rejects.toEqual(unreadable('wrong-type'));
    expect(await redis.type(key)).toBe(type);

    await redis.multi().del(key).set(key, bytesOf('c')).exec();
    await changes.next(brings('c'));
    await store.save({ token: 'd' });
    expect(store.current?.credentials).toEqual({ token: 'd' });
  });
});

describe('bytes that do not decode', () => {
  it.each([
    ['no JSON', 'not JSON'],
    ['half of a credential', bytesOf('a').slice(0, -3)],
    ['nothing at all', ''],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80])],
    ['an own __proto__', '{"__proto__":{"token":"a"},"token":"b"}'],
    ['an escaped __proto__', '{"\\u005f_proto__":{"token":"a"},"token":"b"}'],
    ['a __proto__ further inside', '{"token":{"a":[{"__proto__":1}]}}'],
  ])('are unreadable and do not hinder a save: %s', async (_name, bytes) => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect(), {
      onCallbackError: () => {},
    });
    await redis.set(key, bytesOf('before'));
    await changes.next(brings('before'));
    await redis.set(key, bytes);
    const change = await changes.next(ofType('unreadable'));
    expect(change.error).toEqual(unreadable('decode'));
    expect(store.state).toEqual({ type: 'unreadable', error: change.error });
    expect(store.current).toBeUndefined();
    expect(await store.load()).toBeUndefined();
    await expect(store.read()).rejects.toEqual(unreadable('decode'));
    await expect(store.update(() => ({ token: 'x' }))).rejects.toEqual(unreadable('decode'));
    expect(await redis.getBuffer(key)).toEqual(Buffer.from(bytes));
    expect(({} as Partial<Token>).token).toBeUndefined();

    await store.save({ token: 'after' });
    expect(store.current?.credentials).toEqual({ token: 'after' });
  });

  it('may be empty, for a codec that decodes empty bytes', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch<string>(world.connect(), {
      serialize: (text) => text,
      deserialize: (bytes) => bytes.toString(),
    });
    await redis.set(key, '');
    const change = await changes.next(ofType('saved'));
    expect(change.credentials).toBe('');
    expect(store.current?.credentials).toBe('');
    await store.clear();
    expect((await changes.next(ofType('cleared'))).previous?.credentials).toBe('');
    await store.save('');
    expect(await redis.exists(key)).toBe(1);
    expect(await store.load()).toBe('');
  });

  it('may be nested deeper than any stack', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch<unknown>(world.connect());
    await redis.set(key, '['.repeat(200_000) + ']'.repeat(200_000));
    await changes.next();
    expect(['present', 'unreadable']).toContain(store.state.type);
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
    await redis.set(key, '"flat"');
    await changes.next(ofType('saved'));
    expect(store.current?.credentials).toBe('flat');
  });
});

describe('300 MB at the key', () => {
  const SIZE = 300 * 2 ** 20;

  it('are too large, are not fetched, and do not delay other credentials', async () => {
    const redis = world.connect();
    const link = await through();
    const client = world.connect({ lazyConnect: true }, link.url);
    const { store, key, changes } = await world.watch(client);
    const other = await world.watch(client);
    await redis.setrange(key, SIZE - 1, 'x');
    world.track(key, () => redis.del(key));

    expect((await changes.next(ofType('unreadable'))).error).toEqual(unreadable('too-large'));
    expect(await store.load()).toBeUndefined();
    await expect(store.read()).rejects.toEqual(unreadable('too-large'));
    await expect(store.update(() => ({ token: 'x' }))).rejects.toEqual(unreadable('too-large'));
    expect(await redis.strlen(key)).toBe(SIZE);

    await redis.set(other.key, bytesOf('beside'));
    await other.changes.next(brings('beside'));
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
    expect(link.bytes.toClient).toBeLessThan(100_000);
  });

  it('can be saved over and cleared by a watching store, without being fetched', async () => {
    const redis = world.connect();
    const link = await through();
    const { store, key, changes } = await world.watch(world.connect({}, link.url));
    await redis.setrange(key, SIZE - 1, 'x');
    await changes.next(ofType('unreadable'));
    await store.save({ token: 'small' });
    expect(await redis.get(key)).toBe(bytesOf('small'));
    await redis.setrange(key, SIZE - 1, 'x');
    await changes.next(ofType('unreadable'));
    expect(await store.clear()).toBe(true);
    expect(await redis.exists(key)).toBe(0);
    expect(link.bytes.toClient).toBeLessThan(100_000);
  });

  it('can be saved over and cleared by a store that does not watch, without being fetched', async () => {
    const redis = world.connect();
    const link = await through();
    const store = world.store(world.connect({}, link.url));
    await redis.setrange(store.id, SIZE - 1, 'x');
    await store.save({ token: 'small' });
    expect(await redis.get(store.id)).toBe(bytesOf('small'));
    await redis.setrange(store.id, SIZE - 1, 'x');
    expect(await store.clear()).toBe(true);
    expect(await redis.exists(store.id)).toBe(0);
    expect(link.bytes.toClient).toBeLessThan(100_000);
  });
});

describe('the result of serialize', () => {
  it.each<[string, unknown]>([
    ['an array, which ioredis would flatten into options', ['x', 'EX', '100']],
    ['an object', { token: 'a' }],
    ['undefined', undefined],
    ['null', null],
    ['a number', 42],
    ['a promise of an array', Promise.resolve(['x'])],
    ['a string with a lone surrogate', 'a\ud800'],
    ['a Map', new Map([['a', 'b']])],
  ])('never reaches Redis when it is %s', async (_name, result) => {
    const store = world.store<string>(world.connect(), {
      serialize: () => result as string,
      deserialize: String,
    });
    await store.load();
    const recording = await recordMonitor(world.server);
    await expect(store.save('x')).rejects.toThrow(EncodeError);
    await expect(store.save('x', { onlyIf: 'absent' })).rejects.toThrow(EncodeError);
    await expect(store.update(() => 'x')).rejects.toThrow(EncodeError);
    const lines = await recording.stop();
    const names = new Set(lines.map(({ args }) => args[0]?.toUpperCase()));
    expect(names).not.toContain('SET');
    expect(names).not.toContain('MULTI');
    expect(await world.connect().exists(store.id)).toBe(0);
  });

  it('never reaches Redis when it is larger than maxBytes', async () => {
    const link = await through();
    const store = world.store(world.connect({}, link.url), { maxBytes: 1_000 });
    await expect(store.save({ token: 'x'.repeat(2_000_000) })).rejects.toMatchObject({
      reason: 'too-large',
    });
    expect(link.bytes.toServer).toBeLessThan(10_000);
  });
});

describe('the key', () => {
  const prefix = uniquePrefix('odd');

  it.each([
    `${prefix}t:{42}:x`,
    `${prefix}a}b`,
    `${prefix}foo{}bar`,
    `${prefix}{`,
    `${prefix}{{a}}`,
    `${prefix}[a-z]*?\\`,
    `${prefix}with space and "quotes" and 'more'`,
    `${prefix}caf\u00e9`,
    `${prefix}cafe\u0301`,
    `${prefix}🔑 ключ 鍵`,
    `${prefix}${'long'.repeat(240)}`,
    `${prefix}credstream:stage:x`,
    '__proto__',
    'constructor',
    'toString',
    '__keyspace@0__:x',
    '{',
    '}',
    '*',
    '0',
    ' ',
  ])('may be %j', async (key) => {
    const redis = world.connect();
    const { store, changes } = await world.watch(world.connect(), { key });
    world.track(key, () => redis.del(key));
    await redis.set(key, bytesOf('a'));
    expect(await changes.next(brings('a'))).toMatchObject({ id: key, origin: 'out-of-band' });
    await store.save({ token: 'b' }, { onlyIf: store.current! });
    expect(await redis.get(key)).toBe(bytesOf('b'));
    expect(await changes.next(brings('b'))).toMatchObject({ origin: 'self' });
    await store.update((current) => ({ token: `${current!.token}c` }));
    expect(await store.load()).toEqual({ token: 'bc' });
    expect(await store.clear()).toBe(true);
    expect(await redis.exists(key)).toBe(0);
    expect(changes.values).toHaveLength(4);
  });

  it('is another key when it is written in another way', async () => {
    const client = world.connect();
    const composed = await world.watch(client, { key: `${prefix}u\u0308` });
    const precomposed = await world.watch(client, { key: `${prefix}\u00fc` });
    await composed.store.save({ token: 'a' });
    await precomposed.store.save({ token: 'b' });
    expect(composed.store.current?.credentials).toEqual({ token: 'a' });
    expect(composed.changes.values).toHaveLength(1);
  });

  it.each<[string, unknown]>([
    ['empty', ''],
    ['an array', ['a']],
    ['a number', 1],
    ['an object', { toString: () => 'a' }],
    ['longer than 1,024 bytes', 'ä'.repeat(513)],
    ['a line', 'a\r\nFLUSHALL'],
    ['a NUL', 'a\0'],
    ['a lone surrogate', 'a\udfff'],
    ['one of ours', 'credstream:epoch'],
  ])('must not be %s', (_name, key) => {
    const client = world.connect({ lazyConnect: true });
    const build = (): unknown => new RedisCredentialStore(client, { key: key as string });
    expect(build).toThrow(InvalidOptionError);
    expect(build).toThrow(/^key: /);
  });
});
