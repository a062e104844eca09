import { describe, expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { both } from '../support/both.js';
import { countCommands } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import { startRedis, uniqueKey } from '../support/redis.js';
import { abilitiesOf, endOf } from '../support/server-abilities.js';
import { createTcpProxy } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { brings, bytesOf, ofType, type Token, useWorld } from './world.js';

const world = useWorld();

/** What users may do that look at a credential in another way than the usual one. */
const ways = [
  {
    name: 'may run scripts, but not the read-only kind',
    rules: '+@all -evalsha_ro -eval_ro ~* &*',
    command: 'evalsha',
    perRead: 1,
  },
  {
    name: 'may run no scripts',
    rules: '+@all -@scripting ~* &*',
    command: 'pttl',
    perRead: 2,
  },
  {
    name: 'may run no scripts and not ask for the time or a length',
    rules: '+@all -@scripting -time -strlen ~* &*',
    command: 'pttl',
    perRead: 2,
  },
  {
    name: 'may only read, subscribe and ping',
    rules: '-@all +get +pttl +subscribe +unsubscribe +ping %R~* &*',
    command: 'pttl',
    perRead: 2,
  },
  {
    name: 'may run scripts, but not PEXPIRETIME in them, as on an older Redis',
    rules: '+@all -pexpiretime ~* &*',
    command: 'evalsha',
    perRead: 1,
  },
] as const;

describe.each(ways)('a user who $name', ({ rules, command, perRead }) => {
  it('sees saved, renewed, expired, cleared and unreadable', async () => {
    const redis = world.connect();
    const user = await makeUser(world, rules);
    const { store, key, changes } = await world.watch(user.connect());
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });

    await redis.set(key, bytesOf('a'));
    expect(await changes.next()).toMatchObject({ type: 'saved', expiresAt: undefined });
    await redis.expire(key, 600);
    const renewed = await changes.next(ofType('renewed'));
    const end = await endOf(redis, key);
    expect(Math.abs(renewed.expiresAt! - end)).toBeLessThan(100);
    await redis.set(key, 'not JSON');
    expect(await changes.next()).toMatchObject({ type: 'unreadable' });
    await redis.del(key);
    expect(await changes.next()).toMatchObject({ type: 'cleared' });
    const list = uniqueKey('list');
    await redis.rpush(list, 'x');
    await redis.rename(list, key);
    const unreadable = await changes.next(ofType('unreadable'));
    expect(unreadable.error.reason).toBe('wrong-type');
    await redis.del(key);
    await redis.set(key, '');
    await changes.next(ofType('unreadable'));
    await redis.set(key, bytesOf('b'), 'PX', 600);
    await changes.next(brings('b'));
    const expired = await changes.next(ofType('expired'));
    expect(await redis.exists(key)).toBe(0);
    // Both are estimates where the server may not be asked for its time: as exact as its replies are quick.
    const slackMs = /-time|\+get \+pttl/.test(rules) ? noiseMs() : 0;
    expect(expired.at).toBeGreaterThan(expired.expiresAt! - slackMs);
    expect(store.current).toBeUndefined();
  });

  it('receives no renewal that did not happen, over 200 reads', async () => {
    const redis = world.connect();
    const user = await makeUser(world, rules);
    const { key, store, changes } = await world.watch(user.connect());
    await redis.set(key, bytesOf('a'), 'PX', 100_000);
    const { expiresAt } = await changes.next(ofType('saved'));

    const watchReads = async (): Promise<number> => {
      const stats = await redis.info('commandstats');
      const calls = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0;
      return Number(calls) / perRead;
    };
    // What it may not do it has found out with the first read of each connection.
    const refused = async (): Promise<number> => {
      const stats = await redis.info('commandstats');
      const [, rejected, failed] =
        /cmdstat_evalsha_ro:.*rejected_calls=(\d+),failed_calls=(\d+)/.exec(stats) ?? [];
      return Number(rejected ?? 0) + Number(failed ?? 0);
    };
    const refusedBefore = await refused();
    const before = await watchReads();
    for (let last = before; last - before < 200;) {
      // A hint that says nothing makes the watch read again, as often as it reads for hints in vain.
      await redis.publish(`credstream:0:${key}`, '{}');
      const seen = last;
      await eventually(async () => (last = await watchReads()) > seen);
    }
    expect((await refused()) - refusedBefore).toBeLessThanOrEqual(2);
    await redis.set(key, bytesOf('last'));
    await changes.next(brings('last'));
    expect(changes.values.map(({ type }) => type)).toEqual(['saved', 'saved']);
    expect(store.current?.expiresAt).toBeUndefined();
    expect(expiresAt).toBeDefined();
  });

  it('reads every allowed content, too large or not', async () => {
    const redis = world.connect();
    const user = await makeUser(world, rules);
    const store = world.store(user.connect(), { maxBytes: 100 });
    expect(await store.load()).toBeUndefined();
    await redis.set(store.id, bytesOf('a'), 'EX', 60);
    expect(await store.load()).toEqual({ token: 'a' });
    const snapshot = await store.read();
    const end = await endOf(redis, store.id);
    expect(Math.abs(snapshot!.expiresAt! - end)).toBeLessThan(100);
    await redis.set(store.id, bytesOf('x'.repeat(200)));
    const watched = await world.watch(user.connect(), { key: store.id, maxBytes: 100 });
    expect(watched.store.state).toMatchObject({
      type: 'unreadable',
      error: { reason: 'too-large' },
    });
    expect(await store.load()).toBeUndefined();
  });
});

describe('bytes and end that were read apart', () => {
  it('are emitted only if they belong together', async () => {
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const redis = world.connect();
    const user = await makeUser(world, '+@all -@scripting ~* &*');
    const { key, changes } = await world.watch(user.connect({}, link.url));

    // In the midst of a read comes another credential, one with an end after one without, and so on.
    let armed = true;
    let writes = 0;
    const flip = (): void => {
      writes += 1;
      if (writes % 2 === 0) void redis.set(key, bytesOf(`${writes} without end`));
      else void redis.set(key, bytesOf(`${writes} with an end`), 'PX', 100_000);
    };
    const stop = link.onData('toServer', (chunk) => {
      if (armed && /pttl/i.test(chunk.toString('latin1'))) {
        armed = false;
        // Two of them can leave both ends alike, around bytes that have none.
        setTimeout(flip, Math.random() * 8);
        setTimeout(flip, Math.random() * 8);
      }
      return undefined;
    });
    link.slice(40, 1, 'toServer');
    for (let reads = 1; reads <= 80; reads += 1) {
      armed = true;
      await redis.publish(`credstream:0:${key}`, '{}');
      await eventually(() => writes === 2 * reads);
    }
    stop();
    await redis.set(key, bytesOf('last'));
    await changes.next(brings('last'));

    const emitted = changes.values.map((change) =>
      'snapshot' in change
        ? `${change.type} ${change.snapshot.credentials.token} ${typeof change.expiresAt}`
        : change.type,
    );
    const kinds = emitted.map((one) => one.replace(/\d+ /, ''));
    // Which of them it gets to see is chance.
    expect(kinds.length).toBeGreaterThan(1);
    expect([
      'saved with an end number',
      'saved without end undefined',
      'saved last undefined',
    ]).toEqual(expect.arrayContaining(kinds));
  });

  it('make no renewal when the link was slow at one read and is fast at the next', async () => {
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const redis = world.connect();
    const user = await makeUser(world, '+@all -@scripting ~* &*');
    const { key, store, changes } = await world.watch(user.connect({}, link.url));
    for (let times = 1; times <= 5; times += 1) {
      link.slice(30, 4, 'toServer');
      await redis.set(key, bytesOf(`a${times}`), 'PX', 100_000);
      await changes.next(brings(`a${times}`));
      link.slice(0, 0, 'toServer');
      for (let hints = 0; hints < 5; hints += 1) {
        await redis.publish(`credstream:0:${key}`, '{}');
        await store.read();
      }
    }
    await redis.del(key);
    await changes.next(ofType('cleared'));
    expect(changes.values.map(({ type }) => type)).toEqual([
      ...Array<string>(5).fill('saved'),
      'cleared',
    ]);
  });
});

describe('a server or a user without scripts', () => {
  /** Stores of a user who may run none, and of a server that knows the commands by no name. */
  const places = [
    {
      name: 'a user who may not run them',
      reply: 'NOPERM',
      open: async () => (await makeUser(world, '+@all -@scripting ~* &*')).connect(),
    },
    {
      name: 'a server whose commands were renamed',
      reply: 'ERR',
      open: async () => {
        const { unknown } = await abilitiesOf(world.connect());
        const renamed = ['EVAL', 'EVALSHA', 'EVAL_RO', 'EVALSHA_RO'].filter(
          // A name that the server does not know keeps it from starting.
          (command) => !unknown.has(command.toLowerCase()),
        );
        const args = renamed.flatMap((command) => ['--rename-command', command, '']);
        const server = await startRedis({ args });
        world.track(server, (one) => one.stop());
        return world.connect({}, server.url);
      },
    },
  ];

  it.each(places)('is known when ready() resolves: $name', async ({ open }) => {
    const store = world.store(await open());
    await store.ready();
    expect(store.status).toMatchObject({ link: 'live', scriptsRefused: 'EVALSHA' });
    await store.save({ token: 'a' });
    await eventually(() => expect(store.current?.credentials).toEqual({ token: 'a' }));
    expect(await store.load()).toEqual({ token: 'a' });
    expect(await store.clear()).toBe(true);
    expect(await store.save({ token: 'b' }, { onlyIf: 'absent' })).toMatchObject({});
  });

  it.each(places)('refuses at once what needs them: $name', async ({ open, reply }) => {
    const store = world.store(await open());
    await store.save({ token: 'a' });
    const refused = {
      code: 'REFUSED',
      reply,
      message: expect.stringContaining("'evalsha'") as string,
    };
    const snapshot = await store.read();
    await expect(store.save({ token: 'b' }, { onlyIf: snapshot })).rejects.toMatchObject(refused);
    await expect(store.clear({ onlyIf: snapshot })).rejects.toMatchObject(refused);
    await expect(store.update(() => ({ token: 'b' }))).rejects.toMatchObject(refused);
    expect(await store.load()).toEqual({ token: 'a' });
    await store.clear();
    let calls = 0;
    const auth = new Reauthenticator<Token>(store, {
      ...both(() => ({ token: String((calls += 1)) })),
    });
    world.track(auth, () => auth.close());
    // The second one comes while this instance backs off.
    for (let call = 0; call < 2; call += 1)
      await expect(auth.credentials()).rejects.toMatchObject({ ...refused, id: store.id });
    expect(calls).toBe(0);
  });

  it('lets a Reauthenticator work as soon as scripts are permitted', async () => {
    const user = await makeUser(world, '+@all -@scripting ~* &*');
    const store = world.store(user.connect());
    const auth = new Reauthenticator<Token>(
      store,
      both(() => ({ token: 'a' })),
    );
    world.track(auth, () => auth.close());
    await expect(auth.credentials()).rejects.toMatchObject({ code: 'REFUSED' });
    await user.setRights('+@scripting');
    expect(await auth.credentials()).toEqual({ token: 'a' });
  });

  it('is tried once for each link, and not again with the heartbeat', async () => {
    const user = await makeUser(world, '+@all -@scripting ~* &*');
    const { store } = await world.watch(user.connect(), { heartbeatMs: 20, probeMs: 20 });
    const tried = async (): Promise<number> =>
      (await user.refusals()).filter((command) => command === 'evalsha').length;
    const before = await tried();
    const rounds = store.status;
    expect(rounds.scriptsRefused).toBe('EVALSHA');
    const admin = world.connect();
    const counted = await countCommands(admin, async () => {
      for (let round = 0; round < 20; round += 1) await store.read();
    });
    expect(counted.get('eval') ?? 0).toBe(0);
    expect(await tried()).toBe(before);
  });
});
