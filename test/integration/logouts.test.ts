import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';

import { Reauthenticator, RedisCredentialDirectory, ReauthenticationError } from 'credstream';

import { END_CLEARS } from '../../src/redis/commands/scripts.js';
import { internalsOf } from '../../src/stores/observable-credential-store.js';
import { countCommands } from '../support/command-counter.js';
import { uniquePrefix } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { both } from '../support/both.js';
import { makeUser } from './users.js';
import { bytesOf, type Token, useWorld } from './world.js';

const world = useWorld();

const tombstoneOf = (key: string): string => `credstream:cleared:{${key}}:${key}`;

/** The answer that a process gets which starts now. */
async function askLate(key: string): Promise<string> {
  const store = world.store(world.connect(), { key });
  const auth = new Reauthenticator<Token>(store, {
    ...both(async () => ({ token: 'login' })),
  });
  try {
    return (await auth.credentials({ timeoutMs: 5_000 })).token;
  } catch (error) {
    return error instanceof ReauthenticationError ? error.reason : String(error);
  } finally {
    await auth.close();
    await store.close();
  }
}

/** A key that was cleared. */
async function cleared(key: string = randomUUID()): Promise<string> {
  const store = world.store(world.connect(), { key });
  await store.save({ token: 'old' });
  await store.clear();
  await store.close();
  return key;
}

async function endedBy(key: string): Promise<void> {
  const redis = world.connect();
  await eventually(async () => expect(await redis.get(tombstoneOf(key))).toBe('ended'));
}

describe('a logout ends with the next credential', () => {
  it('that a store saves, although it is lost within the hour', async () => {
    const redis = world.connect();
    for (const lose of ['del', 'ttl'] as const) {
      const key = await cleared();
      const store = world.store(world.connect(), { key, allowEarlyRemoval: true });
      await store.save({ token: 'new' });
      if (lose === 'del') await redis.del(key);
      else await redis.pexpire(key, 1);
      await eventually(async () => expect(await redis.exists(key)).toBe(0));
      expect(await askLate(key)).toBe('login');
    }
  });

  it('that a foreign client stores and a watching store reads', async () => {
    const redis = world.connect();
    const key = await cleared();
    const { changes } = await world.watch(world.connect(), { key });
    await redis.set(key, bytesOf('foreign'));
    await changes.next(({ type }) => type === 'saved');
    await endedBy(key);
    await redis.del(key);
    expect(await askLate(key)).toBe('login');
  });

  it('that a foreign client stores and a directory reads, although nobody opens it', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const key = await cleared(`${prefix}a`);
    const directory = world.track(
      new RedisCredentialDirectory<Token>(world.connect(), { prefix }),
      (one) => one.close(),
    );
    directory.on('saved', () => undefined);
    await directory.ready();
    await redis.set(key, bytesOf('foreign'));
    await endedBy(key);
    await redis.del(key);
    expect(await askLate(key)).toBe('login');
  });

  it('that a foreign client stored before the first reading of a watching store', async () => {
    const redis = world.connect();
    const key = await cleared();
    await redis.set(key, bytesOf('foreign'));
    const { changes } = await world.watch(world.connect(), { key });
    await redis.del(key);
    await changes.next(({ type }) => type === 'cleared');
    await endedBy(key);
    expect(await askLate(key)).toBe('login');
  });

  it('that a foreign client stores at once after a clear, before a watching store reads the absence', async () => {
    const redis = world.connect();
    const key = randomUUID();
    const { store, changes } = await world.watch(world.connect(), { key });
    await store.save({ token: 'old' });
    await redis
      .multi()
      .set(tombstoneOf(key), 'a clear', 'PX', 3_600_000)
      .del(key)
      .set(key, bytesOf('foreign'))
      .exec();
    await changes.next(
      (change) => 'snapshot' in change && change.snapshot.credentials.token === 'foreign',
    );
    await endedBy(key);
  });
});

describe('a logout stays one', () => {
  it('when it comes right after a reading that found a foreign credential', async () => {
    const redis = world.connect();
    const key = await cleared();
    const { store, changes } = await world.watch(world.connect(), { key });
    const other = world.store(world.connect(), { key });
    await other.load();
    for (let round = 0; round < 20; round += 1) {
      await redis.set(key, bytesOf(`foreign ${String(round)}`));
      await changes.next(({ type }) => type === 'saved');
      await other.clear();
      // All that the watching store has begun is over by then.
      await internalsOf(store).backend.endClear(key);
      expect(await redis.get(tombstoneOf(key))).not.toBe('ended');
    }
    expect(await askLate(key)).toBe('cleared');
  });

  it('when the first reading of a watching store found the credential that was cleared', async () => {
    const redis = world.connect();
    const key = randomUUID();
    await redis.set(key, bytesOf('foreign'));
    const { store, changes } = await world.watch(world.connect(), { key });
    const other = world.store(world.connect(), { key });
    await other.clear();
    await changes.next(({ type }) => type === 'cleared');
    await internalsOf(store).backend.endClear(key);
    expect(await askLate(key)).toBe('cleared');
  });
});

describe('the end of a logout, to a user without all rights', () => {
  it('is not told of an absent key, although its size may not be asked for', async () => {
    const redis = world.connect();
    const key = await cleared();
    const user = await makeUser(
      world,
      `-@all +evalsha +eval +get +set +pexpiretime +time ~${key} ~${tombstoneOf(key)}`,
    );
    await internalsOf(world.store(user.connect(), { key })).backend.endClear(key);
    expect(await redis.get(tombstoneOf(key))).not.toBe('ended');
    expect(await user.refusals()).toEqual(['command strlen']);
  });

  it('takes no clear for an earlier one where its instant is a sum', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const keys = Array.from({ length: 20_000 }, (_, nth) => `${prefix}${String(nth)}`);
    // The script asks last for the one that is cleared first.
    const clearAll = `local time = redis.call('TIME')
      for i = #KEYS, 1, -1 do redis.call('SET', KEYS[i], 'a clear', 'PX', 3600000) end
      return time`;
    const tombstones = keys.map(tombstoneOf);
    const time = await redis.eval(clearAll, tombstones.length, ...tombstones);
    const [seconds, micros] = time as [string, string];
    const user = await makeUser(
      world,
      `-@all +evalsha +eval +strlen +get +set +pttl +time ~${prefix}* ~credstream:cleared:*`,
    );
    const storedAt = String(Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000));
    const both = keys.flatMap((key) => [key, tombstoneOf(key)]);
    await user
      .connect()
      .eval(END_CLEARS.text, both.length, ...both, ...keys.map(() => storedAt), '1');
    expect((await redis.mget(tombstones)).filter((text) => text === 'ended')).toEqual([]);
  });
});

describe('many keys that come back at once', () => {
  it('are served by few scripts', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const directory = world.track(
      new RedisCredentialDirectory<Token>(world.connect(), { prefix }),
      (one) => one.close(),
    );
    let saved = 0;
    directory.on('saved', () => (saved += 1));
    await directory.ready();
    const keys = Array.from({ length: 1_000 }, (_, nth) => `${prefix}${String(nth)}`);
    for (const key of keys) await redis.set(tombstoneOf(key), 'a clear', 'PX', 3_600_000);
    const counted = await countCommands(redis, async () => {
      await redis.mset(keys.flatMap((key) => [key, bytesOf('restored')]));
      await eventually(async () =>
        expect(await redis.get(tombstoneOf(keys.at(-1)!))).toBe('ended'),
      );
      await eventually(() => expect(saved).toBe(1_000));
    });
    const all = await redis.mget(keys.map(tombstoneOf));
    expect(all.every((text) => text === 'ended')).toBe(true);
    expect((counted.get('evalsha') ?? 0) + (counted.get('eval') ?? 0)).toBeLessThan(250);
  });
});

describe('a user without the right to tombstones', () => {
  it('saves all the same, and is refused once and not with every save', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(
      world,
      `-@all +evalsha_ro +eval_ro +strlen +get +pexpiretime +time +multi +exec +set +del +publish
       +evalsha +eval ~${prefix}* ~credstream:stage:{${prefix}* resetchannels &credstream:0:${prefix}*`,
    );
    const key = await cleared(`${prefix}a`);
    const store = world.store(user.connect(), { key });
    for (const token of ['a', 'b', 'c'])
      expect(await store.save({ token })).toEqual({ announced: true });
    expect(await store.save({ token: 'd' }, { onlyIf: await store.read() })).toEqual({
      announced: true,
    });
    expect(await store.load()).toEqual({ token: 'd' });
    const refusal = `key ${tombstoneOf(key)}`;
    expect(await user.refusals()).toEqual([refusal]);
    expect((await user.refusalCounts()).get(refusal)).toBe(1);
    // A conditional save alone, over a connection of its own.
    const other = world.store(user.connect(), { key });
    const seen = await other.read();
    expect(await other.save({ token: 'e' }, { onlyIf: seen })).toEqual({ announced: true });
    await other.update(() => ({ token: 'f' }));
    expect((await user.refusalCounts()).get(refusal)).toBe(2);
  });

  it('ends the logouts of the keys whose tombstones it may write', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const [may, mayNot] = [`${prefix}a`, `${prefix}b`];
    const user = await makeUser(
      world,
      `-@all +evalsha_ro +eval_ro +strlen +get +pexpiretime +time +multi +exec +set +del +publish
       +evalsha +eval ~${prefix}* ~credstream:stage:* ~${tombstoneOf(may)} resetchannels &credstream:0:${prefix}*`,
    );
    const client = user.connect();
    const [first, second] = [may, mayNot].map((key) => world.store(client, { key }));
    const ways = [
      // A save of the other key is refused before.
      () => first!.save({ token: 'new' }),
      async () => first!.save({ token: 'newer' }, { onlyIf: await first!.read() }),
      // Both are sent at once.
      () => Promise.all([second!, first!].map((one) => internalsOf(one).backend.endClear(one.id))),
    ];
    for (const end of ways) {
      await cleared(may);
      await cleared(mayNot);
      for (const key of [may, mayNot]) await redis.set(key, bytesOf('foreign'));
      await second!.save({ token: 'new' });
      await end();
      expect(await redis.get(tombstoneOf(may))).toBe('ended');
      expect(await redis.get(tombstoneOf(mayNot))).not.toBe('ended');
    }
    // Once by the save, and not by the script, which is sent without this key.
    expect((await user.refusalCounts()).get(`key ${tombstoneOf(mayNot)}`)).toBe(1);
  });

  it('has a batch refused, and then only the script of each refused key', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const user = await makeUser(
      world,
      `-@all +evalsha +eval +strlen +get +set +pexpiretime +time ~${prefix}* ~credstream:cleared:{${prefix}a*`,
    );
    const keys = ['a1', 'b1', 'a2', 'b2', 'a3'].map((name) => `${prefix}${name}`);
    for (const key of keys) {
      await cleared(key);
      await redis.set(key, bytesOf('foreign'));
    }
    const { backend } = internalsOf(world.store(user.connect(), { key: keys[0]! }));
    const ended = async (): Promise<string[]> => {
      const all = await redis.mget(keys.map(tombstoneOf));
      return keys.filter((_key, nth) => all[nth] === 'ended');
    };
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(keys.map((key) => backend.endClear(key)));
      expect(await ended()).toEqual(keys.filter((key) => key.startsWith(`${prefix}a`)));
    }
    const counts = await user.refusalCounts();
    expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(5);
  });

  it('has few scripts refused where it may end no clear of many', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const user = await makeUser(
      world,
      `-@all +evalsha +eval +strlen +get +set +pexpiretime +time ~${prefix}*`,
    );
    const keys = Array.from({ length: 250 }, (_, nth) => `${prefix}${String(nth)}`);
    await redis.mset(keys.flatMap((key) => [tombstoneOf(key), 'a clear']));
    const { backend } = internalsOf(world.store(user.connect(), { key: keys[0]! }));
    await Promise.all(keys.map((key) => backend.endClear(key)));
    const counts = [...(await user.refusalCounts())].filter(([text]) => text.startsWith('key '));
    // The first batch, and 16 keys of it alone.
    expect(counts.reduce((sum, [, count]) => sum + count, 0)).toBe(17);
  });

  it('leaves the end of a logout to a Reauthenticator that reads the credential', async () => {
    const redis = world.connect();
    const prefix = uniquePrefix();
    const user = await makeUser(
      world,
      `-@all +evalsha_ro +eval_ro +strlen +get +pexpiretime +time +multi +exec +set +del +publish
       ~${prefix}* resetchannels &credstream:0:${prefix}*`,
    );
    const key = await cleared(`${prefix}a`);
    await world.store(user.connect(), { key }).save({ token: 'new' });
    expect(await redis.get(tombstoneOf(key))).not.toBe('ended');
    const reader = world.store(world.connect(), { key });
    const auth = new Reauthenticator<Token>(reader, {
      ...both(async () => ({ token: 'unused' })),
    });
    expect(await auth.credentials()).toEqual({ token: 'new' });
    await eventually(async () => expect(await redis.exists(tombstoneOf(key))).toBe(0));
    await auth.close();
    await redis.del(key);
    expect(await askLate(key)).toBe('login');
  });
});
