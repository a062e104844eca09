import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { RedisCredentialStore } from 'credstream';

import { AttemptVerbs } from '../../src/backend/attempt-verbs.js';
import { READ_BY_PTTL } from '../../src/redis/commands/scripts.js';
import { slotOf } from '../../src/redis/keys.js';
import { internalsOf } from '../../src/stores/observable-credential-store.js';
import { makeCanary } from '../integration/canary.js';
import { useCleanup } from '../support/cleanup.js';
import { recordMonitor } from '../support/command-counter.js';
import { connect, disconnect, startRedis, uniquePrefix } from '../support/redis.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import type { RedisServer } from '../support/redis-server/index.js';
import {
  type AttemptWorld,
  backendOf,
  INTERVAL_MS,
  redisWorld,
  speaker,
} from './attempts-world.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const { track } = useCleanup();
const open = async (key?: string): Promise<AttemptWorld> =>
  track(await redisWorld(server, key), (world) => world.close());

/** Every verb, with every outcome that writes something. */
async function everything(world: AttemptWorld, old: string, brought: string): Promise<void> {
  const one = speaker(world);
  await world.stores[1]!.clear();
  await world.outside.set(world.key, old);
  await one.start('a');
  await one.renew('a');
  await one.commit('a', brought, `${old} no more`);
  await one.end('a', 'fatal', { endsAt: 2e12, oauthError: 'invalid_grant' });
  await one.settle('a');
  await world.advance(INTERVAL_MS + 1);
  await one.start('b');
  await one.commit('b', brought, old);
}

describe('the data that attempts keep in Redis', () => {
  const prefix = uniquePrefix('slot');

  it.each([
    `${prefix}plain`,
    `${prefix}t:{42}:x`,
    `${prefix}a}b`,
    `${prefix}foo{}bar`,
    `${prefix}{a}{b}`,
    't:{42}:x',
    'a}b',
    'foo{}bar',
  ])('lies in the slot of %j, under our prefix, and ends', async (key) => {
    const world = await open(key);
    await world.outside.flush();
    const recording = await recordMonitor(server);
    await everything(world, 'old', 'new');
    const lines = await recording.stop();
    const scripts = lines.filter(
      ({ args: [name, script] }) =>
        /^eval(sha)?$/i.test(name ?? '') &&
        ![READ_BY_PTTL.sha, READ_BY_PTTL.text].includes(script!.replaceAll('\\n', '\n')),
    );
    expect(scripts.length).toBeGreaterThanOrEqual(7);
    for (const { args } of scripts) {
      const keys = args.slice(3, 3 + Number(args[2]));
      expect(keys.length).toBeGreaterThanOrEqual(3);
      for (const one of keys) {
        expect(slotOf(one)).toBe(slotOf(key));
        if (one !== key) expect(one).toMatch(/^credstream:(attempt|cleared|stage):\{/);
      }
    }
    const admin = track(connect(server), disconnect);
    const left = (await admin.keys('*')).filter((one) => one !== key);
    expect(left.map((one) => one.split(':')[1])).toEqual(['attempt']);
    for (const one of left) {
      const ttl = await admin.pttl(one);
      expect(ttl).toBeGreaterThan(3_500_000);
      expect(ttl).toBeLessThanOrEqual(3_600_000);
    }
    expect(await admin.get(key)).toBe('new');
  });

  it('shows no secret except in the value and in the staged copy', async () => {
    const world = await open();
    const [before, after] = [makeCanary(), makeCanary()];
    for (const one of [before, after]) one.alsoDigestsOf(one.text);
    const recording = await recordMonitor(server);
    const announced: string[] = [];
    const listener = track(connect(server), disconnect);
    listener.on('pmessage', (_pattern, _channel, message) => announced.push(message));
    await listener.psubscribe('*');
    await everything(world, before.text, after.text);
    const record = await world.outside.get(world.recordKey);
    const lines = await recording.stop();
    const found = lines.filter(({ text }) => [before, after].some((one) => one.find(text).length));
    const places = found.map(({ args }) => [args[0]?.toLowerCase(), args[1]?.split(':')[1]]);
    // By the test itself, by the two staged copies, and inside the script.
    expect(places).toHaveLength(4);
    for (const { args } of found) {
      expect(args[0]?.toLowerCase()).toBe('set');
      expect(args[1] === world.key || args[1]?.startsWith('credstream:stage:')).toBe(true);
    }
    expect(record).toContain('"id":"b"');
    expect(announced.some((message) => message.includes('"attempt"'))).toBe(true);
    for (const one of [before, after]) expect(one.find([record, announced])).toEqual([]);
  });

  it('contains no staged copy after any outcome', async () => {
    const world = await open();
    const admin = track(connect(server), disconnect);
    const one = speaker(world);
    await world.outside.set(world.key, 'old');
    await one.start('a');
    for (const id of ['a', 'other']) {
      await one.commit(id, 'new', 'else');
      await one.commit(id, 'new', 'old');
      await one.commit(id, 'new', 'old');
    }
    expect(await admin.keys('credstream:stage:*')).toEqual([]);
  });
});

describe('another Redis type', () => {
  it('at the key is a conflict, and stays as it is', async () => {
    const world = await open();
    const admin = track(connect(server), disconnect);
    await admin.rpush(world.key, 'a');
    const one = speaker(world);
    expect((await one.start('a')).type).toBe('started');
    expect(await one.commit('a', 'new', undefined)).toBe('conflict');
    expect(await one.commit('a', 'new', 'a')).toBe('conflict');
    expect(await admin.type(world.key)).toBe('list');
  });

  it('in place of the record or of the tombstone does not matter', async () => {
    const world = await open();
    const admin = track(connect(server), disconnect);
    const spoil = async (): Promise<void> => {
      await admin.del(world.recordKey);
      await admin.rpush(world.recordKey, 'a');
    };
    await admin.rpush(world.recordKey.replace('attempt', 'cleared'), 'a');
    const one = speaker(world);
    await spoil();
    expect(await one.start('a')).toMatchObject({ type: 'started', record: { number: 1 } });
    await spoil();
    expect(await one.renew('a')).toBe('held');
    await spoil();
    await one.end('a', 'failed');
    await spoil();
    await one.settle('a');
    await admin.rpush(world.recordKey.replace('attempt', 'cleared'), 'a');
    expect(await one.commit('a', 'new', undefined)).toBe('committed');
  });
});

describe('a clear before the last observation of the credential', () => {
  it.each([
    ['does not count with PEXPIRETIME, where there is such', '-pttl', 'started'],
    ['does not count with PTTL alone, as before Redis 7', '-pexpiretime', 'started'],
    ['counts with neither, because its instant is not known', '-pttl -pexpiretime', 'cleared'],
  ])('%s', async (_what, denied, type) => {
    const world = await open();
    const admin = track(connect(server), disconnect);
    await world.stores[0]!.save('old');
    await world.stores[0]!.clear();
    await world.advance(10);
    const abilities = await abilitiesOf(admin);
    const isLast = denied === '-pttl' && !abilities.givesEnds;
    const taken = isLast ? [] : denied.split(' ');
    const words = rulesFor(abilities, ['on', '>password', '~*', '&*', '+@all', ...taken]);
    await admin.call('ACL', 'SETUSER', 'limited', 'reset', ...words);
    const client = track(
      connect(server, { username: 'limited', password: 'password' }),
      disconnect,
    );
    const store = track(new RedisCredentialStore<string>(client, { key: world.key }), (one) =>
      one.close(),
    );
    const start = await new AttemptVerbs(internalsOf(store).backend).start({
      key: world.key,
      id: 'a',
      leaseMs: 1_000,
      minIntervalMs: INTERVAL_MS,
      endsAt: undefined,
      clearedBefore: await world.now(),
    });
    expect(start.type).toBe(type);
  });
});

describe('a swap', () => {
  it('keeps a tombstone that was written after the view', async () => {
    const world = await open();
    const backend = backendOf(world);
    await world.stores[1]!.clear();
    const view = await backend.swap({ key: world.key });
    await world.stores[1]!.clear();
    if (view === 'swapped') throw new Error('nothing was to be swapped');
    const change = { version: view.version, dropTombstone: true };
    expect(await backend.swap({ key: world.key, change })).toMatchObject({ stored: false });
    expect((await speaker(world).start('a')).type).toBe('cleared');
  });

  it('fetches no record above the size limit', async () => {
    const world = await open();
    const recording = await recordMonitor(server);
    await world.outside.set(world.recordKey, '['.repeat(1_000_000));
    expect((await speaker(world).start('a')).type).toBe('started');
    const lines = await recording.stop();
    const fetched = lines.filter(
      ({ args }) => args[0]?.toLowerCase() === 'get' && args[1] === world.recordKey,
    );
    expect(fetched).toEqual([]);
  });

  it('costs one round trip for a refusal, and two for a change', async () => {
    const world = await open();
    await world.outside.set(world.key, 'old');
    const one = speaker(world);
    await one.start('a');
    const trips = async (act: () => Promise<unknown>): Promise<number> => {
      const recording = await recordMonitor(server);
      await act();
      const lines = await recording.stop();
      return lines.filter(({ args }) => /^evalsha$/i.test(args[0] ?? '')).length;
    };
    expect(await trips(() => one.start('b'))).toBe(1);
    expect(await trips(() => one.renew('a'))).toBe(2);
    expect(await trips(() => one.commit('a', 'new', 'old'))).toBe(2);
    expect(await trips(() => one.end('a', 'failed'))).toBe(1);
  });
});
