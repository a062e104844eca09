import { describe, expect, it } from 'vitest';

import { recordMonitor } from '../support/command-counter.js';
import { uniquePrefix } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { HINTS_ONLY, useWorld } from './world.js';

const world = useWorld();

/** A tombstone has a value of its own: the id of the instance and a number. */
const UNIQUE = /^[\da-f-]{36}:\d+$/;

/** The slot of a key as Redis Cluster computes it: CRC-16 (XMODEM) of its hash tag or else of all of it. */
function clusterSlot(key: string): number {
  const tag = /^[^{]*\{([^}]+)\}/s.exec(key)?.[1] ?? key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      const carry = ((crc >> 15) & 1) ^ ((byte >> bit) & 1);
      crc = ((crc << 1) & 0xffff) ^ (carry === 1 ? 0x1021 : 0);
    }
  }
  return crc % 16_384;
}

it('the slots of this test are the documented ones', () => {
  expect(clusterSlot('123456789')).toBe(0x31c3);
  expect(clusterSlot('foo')).toBe(12_182);
  expect(clusterSlot('{user1000}.following')).toBe(clusterSlot('user1000'));
  expect(clusterSlot('foo{}{bar}')).not.toBe(clusterSlot('bar'));
});

/** What a store does that needs more than the key itself. */
async function conditionalWrites(key: string, client = world.connect()): Promise<void> {
  const store = world.store(client, { key });
  await store.update(() => ({ token: 'a' }));
  await store.update(() => ({ token: 'b' }));
  await store.save({ token: 'c' }, { onlyIf: await store.read() });
  await store.clear({ onlyIf: await store.read() });
  await store.close();
}

describe('a staged copy', () => {
  const prefix = uniquePrefix('slot');

  it.each([
    `${prefix}plain`,
    `${prefix}t:{42}:x`,
    `${prefix}a}b`,
    `${prefix}foo{}bar`,
    `${prefix}{`,
    `${prefix}}{`,
    `${prefix}{{a}}`,
    `${prefix}{a}{b}`,
    '{',
    '}',
    '{}',
    '{}}',
  ])('lies in the slot of %j, under our prefix, and ends soon', async (key) => {
    const redis = world.connect();
    const recording = await recordMonitor(world.server);
    await conditionalWrites(key);
    const lines = await recording.stop();
    const staged = lines.filter(
      ({ args }) => args[0] === 'set' && args[1]?.startsWith('credstream:stage:'),
    );
    expect(staged).toHaveLength(3);
    for (const { args } of staged) {
      expect(clusterSlot(args[1]!)).toBe(clusterSlot(key));
      expect(args.slice(-2)).toEqual(['PX', '10000']);
    }
    expect(new Set(staged.map(({ args }) => args[1])).size).toBe(3);
    expect(await redis.keys('credstream:stage:*')).toEqual([]);
  });

  it('vanishes by itself when no process is left to remove it', async () => {
    const redis = world.connect();
    const user = await makeUser(world, '+@all -evalsha -eval -del ~* &*');
    const store = world.store(user.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    await expect(store.save({ token: 'b' }, { onlyIf: seen })).rejects.toMatchObject({
      reply: 'NOPERM',
    });
    const [left, ...more] = await redis.keys('credstream:stage:*');
    expect(more).toEqual([]);
    const ttl = await redis.pttl(left!);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(10_000);
    await redis.del(left!);
  });
});

describe('the tombstone of a clear', () => {
  const prefix = uniquePrefix('mark');

  it.each([
    [`${prefix}plain`, `${prefix}plain`],
    [`${prefix}t:{42}:x`, '42'],
    [`${prefix}a}b`, undefined],
    [`${prefix}foo{}bar`, undefined],
    ['{', '{'],
    ['}', undefined],
  ])('lies in the slot of %j, under our prefix, for an hour', async (key, tag) => {
    const redis = world.connect();
    const store = world.store(world.connect(), { key });
    await store.save({ token: 'a' });
    const recording = await recordMonitor(world.server);
    await store.clear();
    await store.save({ token: 'b' });
    await store.clear({ onlyIf: await store.read() });
    const lines = await recording.stop();
    // The save in between ends the first clear, and leaves the tombstone where it is.
    const marks = lines.filter(
      ({ args }) => args[1]?.startsWith('credstream:cleared:') && args[2] !== 'ended',
    );
    expect(marks).toHaveLength(2);
    for (const { args } of marks) {
      const [command, name = '', ...rest] = args;
      // The script of a conditional clear writes its commands in capitals.
      expect([command?.toLowerCase(), name, ...rest]).toEqual([
        'set',
        name,
        expect.stringMatching(UNIQUE),
        'PX',
        '3600000',
      ]);
      expect(clusterSlot(name)).toBe(clusterSlot(key));
      expect(name).toMatch(/^credstream:cleared:\{/);
      expect(name.endsWith(`}:${key}`)).toBe(true);
      if (tag !== undefined) expect(name).toBe(`credstream:cleared:{${tag}}:${key}`);
    }
    expect(marks[0]!.args[1]).toBe(marks[1]!.args[1]);
    expect(await redis.pttl(marks[0]!.args[1]!)).toBeGreaterThan(3_590_000);
  });
});

describe('the database', () => {
  it('contains no key of the store except those under credstream:', async () => {
    const redis = world.connect();
    await redis.flushdb();
    const prefix = uniquePrefix();
    const keys = ['a', 'b', 'c'].map((id) => prefix + id);
    const client = world.connect();
    const options = { ...HINTS_ONLY, heartbeatMs: 20, probeMs: 20 };
    const recording = await recordMonitor(world.server);
    const stores = keys.map((key) => world.store(client, { ...options, key }));
    await Promise.all(stores.map((store) => store.ready()));
    await Promise.all(stores.map((store) => store.save({ token: 'a' }, { ttlSeconds: 60 })));
    for (const key of keys) await conditionalWrites(key, client);
    await Promise.all(stores.map((store) => store.save({ token: 'a' })));
    await eventually(async () => expect(await redis.exists('credstream:epoch')).toBe(1));
    await Promise.all(stores.map((store) => store.close()));

    const lines = await recording.stop();
    const written = lines.filter(({ args }) => args[0]?.toLowerCase() === 'set');
    const others = written.map(({ args }) => args[1]!).filter((key) => !keys.includes(key));
    const kinds = others.map((key) => key.split(':').slice(0, 2).join(':'));
    expect(new Set(kinds)).toEqual(
      new Set(['credstream:stage', 'credstream:cleared', 'credstream:probe', 'credstream:epoch']),
    );
    for (const { args } of written.filter(({ args: [, key] }) => key?.includes(':probe:'))) {
      expect(args.slice(-2)).toEqual(['PX', '1000']);
    }
    const channels = lines
      .filter(({ args }) => /publish/i.test(args[0]!))
      .map(({ args }) => args[1]);
    expect(new Set(channels)).toEqual(new Set(keys.map((key) => `credstream:0:${key}`)));

    const marks = keys.map((key) => `credstream:cleared:{${key}}:${key}`);
    await eventually(async () => {
      const all = [...keys, ...marks, 'credstream:epoch'];
      expect((await redis.keys('*')).sort()).toEqual(all.sort());
    });
    // Not for ever: for as long as a re-authentication that began before the clear may take.
    for (const key of keys) {
      const left = await redis.pttl(`credstream:cleared:{${key}}:${key}`);
      expect(left).toBeGreaterThan(3_500_000);
      expect(left).toBeLessThanOrEqual(3_600_000);
    }
    expect(await redis.pttl('credstream:epoch')).toBe(-1);
  });
});
