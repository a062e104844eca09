import { describe, expect, it } from 'vitest';

import { Reauthenticator, type StoreStatus } from 'credstream';

import { both } from '../support/both.js';
import { uniquePrefix } from '../support/redis.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { collect, type Collected, eventually } from '../support/wait.js';
import { makeUser, type User } from './users.js';
import { brings, bytesOf, type Token, useWorld, type Watched } from './world.js';

const world = useWorld();

/** No jitter, and the pauses as short as they can be. */
const random = (): number => 0;
const FAST = { heartbeatMs: 50, pollMs: 50, random } as const;
/** How often what was refused is tried again. */
const PROBING = { probeMs: 200 } as const;

interface Stage extends Watched<Token> {
  readonly user: User;
  readonly link: TcpProxy;
  readonly statuses: Collected<StoreStatus>;
}

/** A live store of a user who may do everything, whose connections are counted. */
async function stage(options: object = {}): Promise<Stage> {
  const prefix = uniquePrefix();
  const user = await makeUser(world, '+@all ~* &*');
  const link = await createTcpProxy({ target: world.server });
  world.track(link, () => link.close());
  const watched = await world.watch(user.connect({}, link.url), {
    ...FAST,
    ...options,
    key: `${prefix}a`,
  });
  await eventually(() => expect(watched.store.status.notifications).toBe('keyspace'));
  await watched.store.save({ token: 'before' });
  const statuses = collect(watched.store.status$);
  return { ...watched, user, link, statuses };
}

const until = (statuses: Collected<StoreStatus>, link: StoreStatus['link']): Promise<StoreStatus> =>
  statuses.next((status) => status.link === link);

const now = ({ statuses }: Stage): StoreStatus['link'] | undefined => statuses.values.at(-1)?.link;

/** Who is not let in knocks after half a second, a whole one, two … */
async function expectRareConnections(on: Stage): Promise<void> {
  const { link } = on;
  const before = link.accepted;
  expect(now(on)).toBe('unauthorized');
  const from = performance.now();
  await eventually(() => expect(link.accepted).toBeGreaterThan(before));
  expect(performance.now() - from).toBeGreaterThan(400);
  expect(link.accepted - before).toBeLessThanOrEqual(2);
}

/** How many commands Redis has refused so far. */
async function refusedSoFar(): Promise<number> {
  const info = await world.connect().info('commandstats');
  const counts = [...info.matchAll(/rejected_calls=(\d+)/g)].map(([, count]) => Number(count));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Who is let in, and then refused, asks again with each heartbeat, over the connections that it has. */
async function expectRareCommands(on: Stage): Promise<void> {
  const [accepted, refused] = [on.link.accepted, await refusedSoFar()];
  expect(now(on)).toBe('unauthorized');
  const from = performance.now();
  await eventually(async () => expect(await refusedSoFar()).toBeGreaterThan(refused + 20));
  const perHeartbeat =
    ((await refusedSoFar()) - refused) / ((performance.now() - from) / FAST.heartbeatMs);
  // A read, and a read in the other way, of the heartbeat and of polling.
  expect(perHeartbeat).toBeLessThan(12);
  expect(on.link.accepted - accepted).toBeLessThanOrEqual(1);
}

describe('a watching store is unauthorized, and recovers, after the loss of', () => {
  const cases: readonly (readonly [
    name: string,
    take: readonly string[],
    give: readonly string[],
    reply: string,
  ])[] = [
    ['the key pattern', ['resetkeys', '~elsewhere:*'], ['~*'], 'NOPERM'],
    ['the right to read it', ['resetkeys', '%W~*'], ['resetkeys', '~*'], 'NOPERM'],
    [
      'every command that reads',
      ['-evalsha_ro', '-eval_ro', '-evalsha', '-eval', '-get', '-strlen'],
      ['+@all'],
      'NOPERM',
    ],
    ['GET', ['-get'], ['+get'], 'NOPERM'],
    ['all commands', ['-@all'], ['+@all'], 'NOPERM'],
    ['the user, disabled', ['off'], ['on'], 'WRONGPASS'],
    ['the password', ['resetpass', '>another'], ['>secret'], 'WRONGPASS'],
  ];

  it.each(cases)('%s', async (_name, take, give, reply) => {
    const on = await stage();
    const { store, key, changes, user, statuses } = on;
    const { splitsKeyRights } = await abilitiesOf(world.connect());
    // A server that does not tell reading from writing takes both rights.
    await user.setRights(
      ...(splitsKeyRights ? take : take.filter((rule) => !rule.startsWith('%W~'))),
    );
    // Who is disabled, or has a new password, keeps connections that are open.
    if (reply === 'WRONGPASS') await world.connect().call('CLIENT', 'KILL', 'USER', user.name);
    expect((await until(statuses, 'unauthorized')).error).toMatchObject({ code: 'REFUSED', reply });
    expect(store.status.freshness).toBe('stale');
    await expect(store.load()).rejects.toMatchObject({ code: 'REFUSED', reply });
    await (reply === 'WRONGPASS' ? expectRareConnections : expectRareCommands)(on);
    await world.connect().set(key, bytesOf('meanwhile'));
    await user.setRights(...give);
    await changes.next(brings('meanwhile'), 30_000);
    expect(await until(statuses, 'live')).toMatchObject({ freshness: 'fresh', error: undefined });
    await store.save({ token: 'after' });
    expect(store.current?.credentials).toEqual({ token: 'after' });
  });

  it('the deleted user', async () => {
    const on = await stage();
    await world.connect().call('ACL', 'DELUSER', on.user.name);
    expect((await until(on.statuses, 'unauthorized')).error).toMatchObject({ reply: 'WRONGPASS' });
    await expectRareConnections(on);
    await on.user.setRights('on', '>secret', '+@all', '~*', '&*');
    await until(on.statuses, 'live');
    await on.store.save({ token: 'after' });
    expect(on.store.current?.credentials).toEqual({ token: 'after' });
  });
});

describe('a watching store without an optional right', () => {
  const cases: readonly (readonly [
    name: string,
    take: readonly string[],
    give: readonly string[],
    lacking: Partial<StoreStatus>,
  ])[] = [
    ['SUBSCRIBE', ['-subscribe'], ['+subscribe'], { notifications: 'polling' }],
    ['every channel', ['resetchannels'], ['allchannels'], { notifications: 'polling' }],
    [
      'the channel of notifications',
      ['resetchannels', '&credstream:*'],
      ['allchannels'],
      { notifications: 'announcements' },
    ],
  ];

  it.each(cases)(
    'reports the loss, sees every change all the same, and uses the right again: %s',
    async (_n, take, give, lacking) => {
      const { store, key, changes, user, statuses, link } = await stage(PROBING);
      const admin = world.connect();
      await user.setRights(...take);
      await admin.call('CLIENT', 'KILL', 'USER', user.name);
      await statuses.next(
        ({ link: now, notifications }) => now === 'live' && notifications === lacking.notifications,
      );
      await admin.set(key, bytesOf('polled'));
      await changes.next(brings('polled'));
      const accepted = link.accepted;
      // No loop: it stays on the connections that it has.
      for (const token of ['one', 'two', 'three']) {
        await admin.set(key, bytesOf(token));
        await changes.next(brings(token));
      }
      expect(link.accepted - accepted).toBeLessThanOrEqual(1);
      await user.setRights(...give);
      // It tries again by itself, without a new connection.
      await statuses.next(({ notifications }) => notifications === 'keyspace');
      expect(link.accepted - accepted).toBeLessThanOrEqual(1);
      await store.save({ token: 'after' });
      expect(statuses.values.map(({ link: one }) => one)).not.toContain('unauthorized');
    },
  );

  it.each([
    ['PUBLISH', ['-publish'], ['+publish']],
    ['the channel of announcements', ['resetchannels', '&__keyspace@0__:*'], ['allchannels']],
  ] as const)('writes without announcements: %s', async (_name, take, give) => {
    const { store, user, statuses } = await stage(PROBING);
    await user.setRights(...take);
    await eventually(async () =>
      expect(await store.save({ token: 'silent' })).toEqual({ announced: false }),
    );
    await eventually(() => expect(store.status.announcing).toBe(false));
    const seen = await store.read();
    expect(await store.save({ token: 'over' }, { onlyIf: seen })).toEqual({ announced: false });
    await user.setRights(...give);
    await eventually(async () =>
      expect(await store.save({ token: 'told' })).toEqual({ announced: true }),
    );
    await eventually(() => expect(store.status.announcing).toBe(true));
    expect(statuses.values.map(({ link }) => link)).not.toContain('unauthorized');
  });

  it.each([
    ['EVALSHA_RO', ['-evalsha_ro'], ['+evalsha_ro']],
    ['scripts that only read', ['-evalsha_ro', '-eval_ro'], ['+evalsha_ro', '+eval_ro']],
    ['all scripts', ['-@scripting'], ['+@scripting']],
  ] as const)('reads in another way: %s', async (_name, take, give) => {
    const { store, key, changes, user, statuses, link } = await stage();
    const admin = world.connect();
    const accepted = link.accepted;
    await user.setRights(...take);
    for (const token of ['one', 'two', 'three']) {
      await admin.set(key, bytesOf(token), 'EX', 60);
      await changes.next(brings(token));
      expect(await store.load()).toEqual({ token });
    }
    await user.setRights(...give);
    await store.update(() => ({ token: 'after' }));
    expect(store.current?.credentials).toEqual({ token: 'after' });
    expect(statuses.values.map(({ link: one }) => one)).not.toContain('unauthorized');
    expect(link.accepted - accepted).toBeLessThanOrEqual(2);
  });
});

describe('many credentials of a user without channels', () => {
  it('are not all subscribed again and again, and are all subscribed once that is allowed', async () => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, '+@all ~* resetchannels');
    const client = user.connect();
    const stores = Array.from({ length: 200 }, (_, index) =>
      world.store<Token>(client, {
        ...FAST,
        ...PROBING,
        pollMs: 600_000,
        key: `${prefix}${index}`,
      }),
    );
    await Promise.all(stores.map((store) => store.ready()));
    const admin = world.connect();
    const refused = async (): Promise<number> => {
      const info = await admin.info('commandstats');
      return Number(/cmdstat_subscribe:.*rejected_calls=(\d+)/.exec(info)?.[1] ?? 0);
    };
    const before = await refused();
    expect(before).toBeGreaterThanOrEqual(400);
    await eventually(async () => expect(await refused()).toBeGreaterThan(before + 8));
    expect(await refused()).toBeLessThan(before + 40);
    await user.setRights('allchannels');
    await eventually(() => {
      for (const { status } of stores) expect(status.notifications).toBe('keyspace');
    });
    await admin.set(`${prefix}199`, bytesOf('heard'));
    await eventually(() => expect(stores.at(-1)?.current?.credentials).toEqual({ token: 'heard' }));
  });
});

describe('a watching store without a right of writers', () => {
  it.each([
    ['SET', ['-set'], ['+set'], (s: Stage['store']) => s.save({ token: 'x' })],
    ['DEL', ['-del'], ['+del'], (s: Stage['store']) => s.clear()],
    [
      'EVAL and EVALSHA',
      ['-eval', '-evalsha'],
      ['+eval', '+evalsha'],
      (s: Stage['store']) => s.update(() => ({ token: 'x' })),
    ],
    [
      'the staged copy',
      ['resetkeys', '~t:*', '~credstream:cleared:*'],
      ['resetkeys', '~*'],
      (s: Stage['store']) => s.update(() => ({ token: 'x' })),
    ],
    [
      'writing the key',
      ['resetkeys', '%R~t:*', '~credstream:*'],
      ['resetkeys', '~*'],
      (s: Stage['store']) => s.save({ token: 'x' }),
    ],
  ] as const)(
    'refuses the write, watches on, and writes again at once: %s',
    async (_name, take, give, write) => {
      const { store, key, changes, user, statuses } = await stage();
      const admin = world.connect();
      await user.setRights(...take);
      await expect(write(store)).rejects.toMatchObject({ code: 'REFUSED', reply: 'NOPERM' });
      expect(await admin.get(key)).toBe(bytesOf('before'));
      await admin.set(key, bytesOf('watched'));
      await changes.next(brings('watched'));
      await user.setRights(...give);
      await write(store);
      expect(statuses.values.map(({ link }) => link)).not.toContain('unauthorized');
      expect(await admin.keys('credstream:stage:*')).toEqual([]);
    },
  );
});

describe('a process that re-authenticates and loses its rights', () => {
  it('does not call the provider meanwhile, and goes on when the rights are granted again', async () => {
    const { store, user, statuses } = await stage();
    let logins = 0;
    const auth = world.track(
      new Reauthenticator<Token>(store, {
        ...both(() => Promise.resolve({ token: `login ${String((logins += 1))}` })),
        minIntervalMs: 10,
      }),
      (one) => one.close(),
    );
    expect(await auth.credentials()).toEqual({ token: 'before' });
    await user.setRights('resetkeys');
    await until(statuses, 'unauthorized');
    auth.reject(await auth.snapshot().catch(() => store.current!));
    await expect(auth.credentials({ timeoutMs: 200 })).rejects.toBeDefined();
    expect(logins).toBe(0);
    await user.setRights('~*');
    await until(statuses, 'live');
    expect(await auth.credentials({ timeoutMs: 20_000 })).toEqual({ token: 'login 1' });
    expect(logins).toBe(1);
  });
});
