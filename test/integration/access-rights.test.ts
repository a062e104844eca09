import { describe, expect, it } from 'vitest';

import { type RedisCredentialStore, RefusedError } from 'credstream';

import { countCommands, recordMonitor } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import { uniquePrefix } from '../support/redis.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import { collect, eventually } from '../support/wait.js';
import { makeUser, type User } from './users.js';
import {
  brings,
  bytesOf,
  HINTS_ONLY,
  ofType,
  type Token,
  useWorld,
  type Watched,
} from './world.js';

const world = useWorld();

/** Looking at a credential. */
const READ = '+evalsha_ro +eval_ro +strlen +get +pexpiretime +time';
/** Saving and clearing, also over what was seen. */
const WRITE = '+multi +exec +set +del +publish +evalsha +eval';
/** Watching. */
const WATCH = '+subscribe +unsubscribe';

// What the documentation prints, for keys below one prefix.
const writer = (prefix: string): string =>
  `-@all ${READ} ${WRITE} ~${prefix}* ~credstream:stage:* ~credstream:cleared:*
   resetchannels &credstream:0:${prefix}*`;
const watcher = (prefix: string): string =>
  `-@all ${READ} ${WATCH} %R~${prefix}* %R~credstream:epoch
   resetchannels &credstream:0:${prefix}* &__keyspace@0__:${prefix}*`;
const watchingWriter = (prefix: string): string =>
  `-@all ${READ} ${WRITE} ${WATCH} ~${prefix}* ~credstream:* resetchannels &credstream:0:${prefix}*
   &__keyspace@0__:${prefix}* &__keyspace@0__:credstream:probe:*`;

/** The commands of the rules, in the words of the server. */
async function commandsIn(rules: string): Promise<string[]> {
  const words = rulesFor(await abilitiesOf(world.connect()), rules.split(/\s+/));
  return words
    .filter((rule) => rule.startsWith('+'))
    .map((rule) => rule.slice(1))
    .sort();
}

/** Every kind of write, and every kind of reading. */
async function expectEveryWrite(store: RedisCredentialStore<Token>): Promise<void> {
  expect(await store.save({ token: 'a' }, { ttlSeconds: 60 })).toEqual({ announced: true });
  const seen = await store.read();
  expect(await store.save({ token: 'b' }, { onlyIf: seen })).toEqual({ announced: true });
  await store.update((current) => ({ token: `${current!.token}c` }));
  expect(await store.load()).toEqual({ token: 'bc' });
  expect(await store.clear()).toBe(true);
  await store.save({ token: 'd' }, { onlyIf: 'absent' });
  expect(await store.clear({ onlyIf: await store.read() })).toBe(true);
  expect(await store.load()).toBeUndefined();
}

/** What a user runs at the server while something is done, in scripts or not. */
async function commandsOf(run: () => Promise<unknown>): Promise<string[]> {
  const redis = world.connect();
  await redis.script('FLUSH');
  const counted = await countCommands(redis, run);
  const always = new Set(['auth', 'hello', 'quit', 'client', 'select']);
  return [...counted.keys()].filter((name) => !always.has(name.split('|')[0]!)).sort();
}

describe('the rights that the documentation names', () => {
  it('are all that a writer needs, and no more', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, writer(prefix));
    const store = world.store(user.connect(), { key: `${prefix}a` });
    expect(await commandsOf(() => expectEveryWrite(store))).toEqual(
      await commandsIn(writer(prefix)),
    );
    expect(await user.refusals()).toEqual([]);
  });

  it('are all that a writer which also watches needs, and no more', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, watchingWriter(prefix));
    const client = user.connect();
    const used = await commandsOf(async () => {
      // The epoch is for those that watch several.
      const other = await world.watch(client, { key: `${prefix}b`, heartbeatMs: 20 });
      const { store } = await world.watch(client, { key: `${prefix}a`, heartbeatMs: 20 });
      await eventually(() => expect(store.status.notifications).toBe('keyspace'));
      await eventually(async () =>
        expect(await world.connect().exists('credstream:epoch')).toBe(1),
      );
      await expectEveryWrite(store);
      await other.store.close();
    });
    expect(used.filter((name) => name !== 'exists' && name !== 'info')).toEqual(
      await commandsIn(watchingWriter(prefix)),
    );
    expect(await user.refusals()).toEqual([]);
  });

  it('are all that a watcher needs, and no more', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, watcher(prefix));
    const client = user.connect();
    const admin = world.connect();
    const used = await commandsOf(async () => {
      const other = await world.watch(client, { key: `${prefix}b`, heartbeatMs: 20 });
      const { store, key, changes } = await world.watch(client, { key: `${prefix}a` });
      await admin.setex(key, 60, bytesOf('a'));
      await changes.next(brings('a'));
      expect(store.current?.credentials).toEqual({ token: 'a' });
      await other.store.close();
    });
    expect(used.filter((name) => !['setex', 'info'].includes(name))).toEqual(
      await commandsIn(watcher(prefix)),
    );
    // Whether notifications arrive it learns from the first one, and whether scripts run by trying once.
    const refused = (await user.refusals()).filter(
      (one) => !one.includes(':probe:') && !/^command eval(?:sha)?$/.test(one),
    );
    expect(refused).toEqual([]);
  });
});

describe('a writer that waits for replicas', () => {
  it('needs WAIT and the keys of its markers beside all that, and no more', async () => {
    const prefix = uniquePrefix();
    const rules = `${writer(prefix)} +wait ~credstream:wait:*`;
    const user = await makeUser(world, rules);
    const store = world.store(user.connect(), { key: `${prefix}a` });
    const used = await commandsOf(async () => {
      const receipt = await store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: 1_000 });
      expect(receipt).toEqual({ announced: true, replicas: 0 });
      await expectEveryWrite(store);
    });
    expect(used).toEqual(await commandsIn(rules));
    expect(await user.refusals()).toEqual([]);
  });
});

describe('a watcher that may not write', () => {
  const watch = (user: User, key: string, options = {}): Promise<Watched<Token>> =>
    world.watch(user.connect(), { ...options, key });

  it('sees every change and its expiry, and reports the mode once it is known', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const { store, key, changes } = await watch(
      await makeUser(world, watcher(prefix)),
      `${prefix}a`,
    );
    expect(store.status).toMatchObject({ link: 'live', notifications: 'announcements' });

    await admin.set(key, bytesOf('a'), 'PX', 600);
    expect(await changes.next(brings('a'))).toMatchObject({ source: 'live' });
    expect(store.status).toMatchObject({ link: 'live', notifications: 'keyspace' });
    await changes.next(ofType('expired'));
    await admin.set(key, bytesOf('b'));
    await changes.next(brings('b'));
    await admin.del(key);
    await changes.next(ofType('cleared'));
    expect(changes.values).toHaveLength(4);
  });

  it('is refused with a typed error when it writes, and nothing happens', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const { store, key } = await watch(await makeUser(world, watcher(prefix)), `${prefix}a`);
    await admin.set(key, bytesOf('a'));
    const refused = expect.objectContaining({ code: 'REFUSED', reply: 'NOPERM' }) as Error;
    await expect(store.save({ token: 'b' })).rejects.toEqual(refused);
    await expect(store.save({ token: 'b' }, { onlyIf: 'absent' })).rejects.toEqual(refused);
    await expect(store.save({ token: 'b' }, { onlyIf: await store.read() })).rejects.toEqual(
      refused,
    );
    await expect(store.update(() => ({ token: 'b' }))).rejects.toEqual(refused);
    await expect(store.clear()).rejects.toEqual(refused);
    expect(await admin.get(key)).toBe(bytesOf('a'));
    expect(await admin.keys('credstream:stage:*')).toEqual([]);
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
  });

  it('receives announced writes without the right to notifications, and polls for others', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(
      world,
      `-@all ${READ} ${WATCH} %R~${prefix}* resetchannels &credstream:0:${prefix}*`,
    );
    const key = `${prefix}a`;
    const hearing = await watch(user, key);
    const polling = await watch(user, key, { pollMs: 50 });
    await world.store(admin, { key }).save({ token: 'a' });
    await hearing.changes.next(brings('a'));
    expect(hearing.store.status.notifications).toBe('announcements');
    await admin.set(key, bytesOf('b'));
    await polling.changes.next(brings('b'));
    expect(polling.store.status).toMatchObject({ notifications: 'announcements' });
    expect(polling.store.status.maxLagMs).toBe(50 + 2_000);
  });

  it('polls for everything without the right to any channel', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(world, `-@all ${READ} ${WATCH} %R~${prefix}*`);
    const { store, key, changes } = await watch(user, `${prefix}a`, { pollMs: 50 });
    expect(store.status).toMatchObject({ link: 'live', notifications: 'polling', maxLagMs: 2_050 });
    await admin.set(key, bytesOf('a'), 'PX', 800);
    await changes.next(brings('a'));
    const expired = await changes.next(ofType('expired'));
    expect(expired.at - expired.expiresAt!).toBeLessThan(noiseMs());
    await admin.set(key, bytesOf('b'));
    await changes.next(brings('b'));
    await admin.del(key);
    await changes.next(ofType('cleared'));
  });

  it('works without the epoch key of many credentials', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(world, watcher(prefix).replace('%R~credstream:epoch', ''));
    const client = user.connect();
    const options = { ...HINTS_ONLY, heartbeatMs: 20 };
    const stores = ['a', 'b', 'c'].map((id) =>
      world.store(client, { ...options, key: prefix + id }),
    );
    const statuses = stores.map((store) => collect(store.status$));
    await Promise.all(stores.map((store) => store.ready()));
    const recording = await recordMonitor(world.server);
    const sent = (): string[] =>
      recording.lines.filter(({ source }) => source !== 'lua').map(({ args }) => args[0]!);
    const { readCommand } = await abilitiesOf(admin);
    // At first it asks for the epoch by all means; then it reads as usual.
    await eventually(() => {
      const last = sent()
        // The heartbeat asks for the role beside the read.
        .filter((name) => name.toUpperCase() !== 'HELLO')
        .slice(-10);
      return last.length === 10 && last.every((name) => name.toLowerCase() === readCommand);
    });
    await recording.stop();
    const links = statuses.flatMap(({ values }) => values.map(({ link }) => link));
    expect(links).not.toContain('unauthorized');
    await admin.set(`${prefix}b`, bytesOf('b'));
    await eventually(() => expect(stores[1]?.current?.credentials).toEqual({ token: 'b' }));
  });
});

describe('without CONFIG, INFO and CLIENT', () => {
  it('everything works', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(world, '+@all -config -info -client ~* &*');
    const { store, key, changes } = await world.watch(user.connect(), {
      key: `${prefix}a`,
      configureNotifications: true,
    });
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    await expectEveryWrite(store);
    await admin.setex(key, 60, bytesOf('out of band'));
    await changes.next(brings('out of band'));
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh', error: undefined });
  });
});

describe('a writer that may not announce', () => {
  it.each([
    ['for want of the channel', '+@all ~* resetchannels &__keyspace@0__:*'],
    ['for want of PUBLISH', '+@all -publish ~* &*'],
  ])('%s writes all the same, and says that it does not announce', async (_why, rules) => {
    const admin = world.connect();
    const user = await makeUser(world, rules);
    const { store, key, changes } = await world.watch(user.connect());
    expect(store.status.announcing).toBe(true);
    expect(await store.save({ token: 'a' }, { ttlSeconds: 60 })).toEqual({ announced: false });
    expect(store.status.announcing).toBe(false);
    expect(await admin.get(key)).toBe(bytesOf('a'));
    expect(await admin.pttl(key)).toBeGreaterThan(58_000);
    // The notification alone does not say who wrote; the reply does, if it is not the later one.
    const { origin } = await changes.next(brings('a'));
    expect(['self', 'out-of-band']).toContain(origin);

    const over = { onlyIf: store.current };
    expect(await store.save({ token: 'b' }, over)).toEqual({ announced: false });
    expect(await admin.get(key)).toBe(bytesOf('b'));
    expect(await store.clear()).toBe(true);
    expect(await admin.exists(key)).toBe(0);
    expect(await store.save({ token: 'c' }, { onlyIf: 'absent' })).toEqual({ announced: false });
  });

  it('detects the missing right also in a save with onlyIf', async () => {
    const admin = world.connect();
    const user = await makeUser(world, '+@all ~* resetchannels');
    const store = world.store(user.connect());
    await admin.set(store.id, bytesOf('a'));
    const over = { onlyIf: await store.read() };
    expect(await store.save({ token: 'b' }, over)).toEqual({ announced: false });
    expect(await admin.get(store.id)).toBe(bytesOf('b'));
    expect(await store.clear({ onlyIf: await store.read() })).toBe(true);
    expect(await admin.exists(store.id)).toBe(0);
  });

  it('does not try to announce again on every save', async () => {
    const user = await makeUser(world, '+@all -publish ~* &*');
    const store = world.store(user.connect());
    await store.save({ token: 'a' });
    const before = await user.refusals();
    const recording = await recordMonitor(world.server);
    await store.save({ token: 'b' });
    await store.save({ token: 'c' });
    const lines = await recording.stop();
    const one = ['multi', 'set', 'SET', 'exec'];
    expect(lines.map(({ args }) => args[0])).toEqual([...one, ...one]);
    expect(await user.refusals()).toEqual(before);
  });

  it('may be granted the right later, from the next connection on', async () => {
    const admin = world.connect();
    const user = await makeUser(world, '+@all ~* resetchannels &__keyspace@0__:*');
    const { store } = await world.watch(user.connect());
    expect(await store.save({ token: 'a' })).toEqual({ announced: false });
    await user.setRights('&credstream:*');
    await admin.call('CLIENT', 'KILL', 'USER', user.name);
    await eventually(async () => {
      expect(await store.save({ token: 'b' })).toEqual({ announced: true });
    });
    await eventually(() => expect(store.status.announcing).toBe(true));
  });
});

describe('a writer that may not read', () => {
  it('writes without checking the type of the key', async () => {
    const prefix = uniquePrefix();
    const admin = world.connect();
    const user = await makeUser(
      world,
      `-@all +multi +exec +set +del +publish %W~${prefix}* resetchannels &credstream:*`,
    );
    const store = world.store(user.connect(), { key: `${prefix}a` });
    expect(await store.save({ token: 'a' }, { ttlSeconds: 60 })).toEqual({ announced: true });
    expect(await admin.get(store.id)).toBe(bytesOf('a'));
    await expect(store.load()).rejects.toThrow(RefusedError);
    await expect(store.update(() => ({ token: 'b' }))).rejects.toThrow(RefusedError);
    expect(await store.clear()).toBe(true);
    expect(await admin.exists(store.id)).toBe(0);
  });
});

describe('a writer that may not run scripts', () => {
  it('saves and clears, but not with onlyIf', async () => {
    const admin = world.connect();
    const user = await makeUser(world, '+@all -@scripting ~* &*');
    const store = world.store(user.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    expect(seen?.credentials).toEqual({ token: 'a' });
    await expect(store.save({ token: 'b' }, { onlyIf: seen })).rejects.toThrow(RefusedError);
    await expect(store.update(() => ({ token: 'b' }))).rejects.toThrow(RefusedError);
    expect(await admin.get(store.id)).toBe(bytesOf('a'));
    expect(await admin.keys('credstream:stage:*')).toEqual([]);
    expect(await store.clear()).toBe(true);
    await store.save({ token: 'c' }, { onlyIf: 'absent' });
    expect(await store.load()).toEqual({ token: 'c' });
  });
});
