import { beforeAll, describe, expect, it } from 'vitest';

import { ConflictError } from 'credstream';

import { useCleanup } from '../support/cleanup.js';
import { type NodeProcess, startNodeProcess } from '../support/node-process.js';
import { uniqueKey } from '../support/redis.js';
import { bytesOf, brings, ofType, useWorld } from '../integration/world.js';
import type { Answer, Order, Reply } from './fixtures/foreign-program.js';

const world = useWorld();

describe.each([
  { name: 'a program with nothing but ioredis', file: 'plain-ioredis' },
  { name: 'a program with nothing but a socket', file: 'raw-socket' },
])('$name', ({ file }) => {
  const { track } = useCleanup('suite');
  let program: NodeProcess<Answer, Order>;

  beforeAll(async () => {
    const url = new URL(`./fixtures/${file}.ts`, import.meta.url);
    program = await startNodeProcess<Answer, Order>(url, { args: [world.server.url] });
    track(program, (one) => one.stop());
    expect(await program.next(undefined, 20_000)).toEqual({ reply: 'ready' });
  });

  const call = async (...args: string[]): Promise<Reply> => {
    await program.send({ does: 'call', args });
    const answer = await program.next();
    if ('failed' in answer) throw new Error(answer.failed);
    return answer.reply;
  };

  it('reads the saved bytes of a store', async () => {
    const store = world.store(world.connect());
    await store.save({ token: 'a "token"' }, { ttlSeconds: 60 });
    expect(await call('GET', store.id)).toBe('{"token":"a \\"token\\""}');
    expect(await call('TTL', store.id)).toBeGreaterThan(58);
    await store.update(() => ({ token: 'b' }));
    expect(await call('GET', store.id)).toBe(bytesOf('b'));
    expect(await call('TTL', store.id)).toBe(-1);
    await store.clear();
    expect(await call('EXISTS', store.id)).toBe(0);
  });

  it('reads and writes every possible byte', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const { store, key, changes } = await world.watch<Buffer>(world.connect(), {
      serialize: (bytes) => bytes,
      deserialize: (bytes) => bytes,
    });
    await store.save(all);
    expect(await call('GET', key)).toBe(all.toString('latin1'));
    const reversed = Buffer.from(all).reverse();
    expect(await call('SET', key, reversed.toString('latin1'))).toBe('OK');
    await changes.next((change) => change.type === 'saved' && change.credentials.equals(reversed));
    expect(await store.load()).toEqual(reversed);
  });

  it('writes bytes that a store loads, and every watcher receives the change', async () => {
    const { store, key, changes } = await world.watch(world.connect());
    expect(await call('SETEX', key, '60', bytesOf('a'))).toBe('OK');
    const saved = await changes.next(ofType('saved'));
    expect(saved).toMatchObject({ origin: 'out-of-band', reason: undefined });
    expect(saved.credentials).toEqual({ token: 'a' });
    expect(saved.expiresAt).toBeGreaterThan(Date.now() + 50_000);
    expect(await store.load()).toEqual({ token: 'a' });

    expect(await call('PERSIST', key)).toBe(1);
    expect(await changes.next(ofType('renewed'))).toMatchObject({ expiresAt: undefined });
    expect(await call('PEXPIRE', key, '100')).toBe(1);
    await changes.next(ofType('renewed'));
    await changes.next(ofType('expired'));
    expect(await call('SET', key, bytesOf('b'))).toBe('OK');
    await changes.next(brings('b'));
    expect(await call('DEL', key)).toBe(1);
    expect(await changes.next(ofType('cleared'))).toMatchObject({ origin: 'out-of-band' });
    expect(store.current).toBeUndefined();
  });

  it('writes bytes that a store cannot read, and the report shows no part of them', async () => {
    const { store, key, changes } = await world.watch(world.connect());
    expect(await call('SET', key, 'token=a')).toBe('OK');
    expect((await changes.next(ofType('unreadable'))).error.reason).toBe('decode');
    await expect(store.save({ token: 'b' }, { onlyIf: 'absent' })).rejects.toThrow(ConflictError);
    expect(await call('GET', key)).toBe('token=a');
  });

  it('causes a conflict for a save with onlyIf over older bytes', async () => {
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    expect(await call('SET', store.id, bytesOf('b'))).toBe('OK');
    await expect(store.save({ token: 'c' }, { onlyIf: seen })).rejects.toThrow(ConflictError);
    expect(await call('GET', store.id)).toBe(bytesOf('b'));
    expect(await call('SET', store.id, bytesOf('a'))).toBe('OK');
    // The very same bytes again are what was seen.
    await store.save({ token: 'c' }, { onlyIf: seen });
    expect(await call('GET', store.id)).toBe(bytesOf('c'));
  });

  it('sees its WATCH broken by every kind of write', async () => {
    const store = world.store(world.connect());
    await store.save({ token: 'start' });
    const writes = [
      () => store.save({ token: 'saved' }),
      async () => store.save({ token: 'over' }, { onlyIf: await store.read() }),
      () => store.update(() => ({ token: 'updated' })),
      () => store.clear(),
      () => store.save({ token: 'absent' }, { onlyIf: 'absent' }),
    ];
    for (const write of writes) {
      expect(await call('WATCH', store.id)).toBe('OK');
      await write();
      expect(await call('MULTI')).toBe('OK');
      expect(await call('SET', store.id, 'lost')).toBe('QUEUED');
      expect(await call('EXEC')).toBeNull();
    }
    expect(await store.load()).toEqual({ token: 'absent' });
  });

  it('shares a counter with a store, and no step is lost', async () => {
    const key = uniqueKey('counter');
    const store = world.store<{ count: number }>(world.connect(), { key });
    const times = 60;
    await program.send({ does: 'count', key, times });
    for (let done = 0; done < times; done += 1) {
      await store.update((current) => ({ count: (current?.count ?? 0) + 1 }), {
        maxAttempts: 1_000,
      });
    }
    const answer = await program.next(undefined, 20_000);
    expect(answer).toMatchObject({ reply: expect.toSatisfy((n: number) => n >= times) as number });
    expect(await call('GET', key)).toBe(JSON.stringify({ count: 2 * times }));
  });
});
