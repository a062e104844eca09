import { randomUUID } from 'node:crypto';

import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import {
  Reauthenticator,
  RedisCredentialDirectory,
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
} from 'credstream';

import { both } from '../support/both.js';
import { readText } from '../docs/repository.js';
import { recordMonitor } from '../support/command-counter.js';
import { startRedis, uniqueKey } from '../support/redis.js';
import { collect, eventually } from '../support/wait.js';
import { makeUser, type User } from './users.js';
import { brings, bytesOf, HINTS_ONLY, type Token, useWorld } from './world.js';

const world = useWorld();

/** A namespace that no other test has. */
const newNamespace = (): string => `ns-${randomUUID().slice(0, 13)}`;

/** The rule of the documents for the application `orders`, for an application of another name. */
const page = await readText('docs/reference/security.md');
const [, documented = ''] = /^ACL SETUSER orders on >password (.+)$/m.exec(page) ?? [];
const makeApplication = (name: string): Promise<User> =>
  makeUser(world, documented.replaceAll('orders', name));

/** All that an application does with Redis, as one user in one namespace: it leaves an epoch, a record and a tombstone. */
async function work(application: string, client: Redis): Promise<void> {
  const prefix = `tokens:${application}:`;
  const options = { namespace: application, heartbeatMs: 20, probeMs: 50 };
  const store = world.store<Token>(client, { ...options, key: `${prefix}a` });
  const other = world.store<Token>(client, { ...options, key: `${prefix}b` });
  const directory = new RedisCredentialDirectory<Token>(client, { ...options, prefix });
  world.track(directory, (one) => one.close());
  const changes = collect(directory.changes$);
  await Promise.all([store.ready(), other.ready(), directory.ready()]);
  await eventually(() => expect(store.status.notifications).toBe('keyspace'));

  const receipt = await store.save({ token: 'one' }, { replicas: 1, replicaTimeoutMs: 1_000 });
  expect(receipt).toMatchObject({ announced: true, replicas: 0 });
  expect(await changes.next()).toMatchObject({ type: 'saved', id: 'a', origin: 'self' });
  await store.update((current) => ({ token: `${current!.token}, two` }));
  await store.save({ token: 'three' }, { onlyIf: await store.read(), reason: 'rotated' });
  await changes.next((change) => 'reason' in change && change.reason === 'rotated');
  const ids: string[] = [];
  for await (const id of directory.ids()) ids.push(id);
  expect(ids).toEqual(['a']);

  const auth = new Reauthenticator<Token>(
    other,
    both(() => ({ token: 'login' })),
  );
  expect(await auth.credentials()).toEqual({ token: 'login' });
  await auth.close();
  await store.clear({ onlyIf: await store.read() });
  await eventually(async () =>
    expect(await world.connect().exists(`${application}:epoch`)).toBe(1),
  );
}

it('a user with the documented rights of its namespace can do everything, and reaches nothing of another namespace', async () => {
  const [orders, billing] = [newNamespace(), newNamespace()];
  const admin = world.connect();
  const [user, other] = await Promise.all([makeApplication(orders), makeApplication(billing)]);
  const recording = await recordMonitor(world.server);
  await work(orders, user.connect());
  await work(billing, other.connect());
  const lines = await recording.stop();
  expect([await user.refusals(), await other.refusals()]).toEqual([[], []]);

  const written = lines.filter(({ args }) => /^set$/i.test(args[0]!)).map(({ args }) => args[1]!);
  const helpers = written.filter((key) => key.startsWith(`${billing}:`));
  const kinds = helpers.map((key) => key.split(':')[1]);
  expect(new Set(kinds)).toEqual(
    new Set(['stage', 'wait', 'attempt', 'cleared', 'probe', 'epoch']),
  );
  const outside = written.filter((key) => !/^(tokens:)?ns-/.test(key));
  expect(outside).toEqual([]);
  const left = await admin.keys(`${billing}:*`);
  expect(left.map((key) => key.split(':')[1]).sort()).toEqual(['attempt', 'cleared', 'epoch']);

  const intruder = user.connect();
  const refused: string[] = [];
  const attempt = (what: string, call: Promise<unknown>): Promise<unknown> =>
    call.catch((error: unknown) => {
      expect(String(error)).toContain('NOPERM');
      refused.push(what);
    });
  for (const key of new Set([...helpers, ...left]))
    await Promise.all([
      attempt(`get ${key}`, intruder.get(key)),
      attempt(`set ${key}`, intruder.set(key, 'forged')),
      attempt(`del ${key}`, intruder.del(key)),
      attempt(`eval ${key}`, intruder.eval("return redis.call('GET', KEYS[1])", 1, key)),
    ]);
  const channel = `${billing}:0:tokens:${billing}:a`;
  await Promise.all([
    attempt('publish', intruder.publish(channel, '{}')),
    attempt('subscribe', intruder.subscribe(channel)),
    attempt('psubscribe', intruder.psubscribe(`${billing}:*`)),
    attempt('keyspace', intruder.subscribe(`__keyspace@0__:tokens:${billing}:a`)),
  ]);
  expect(refused).toHaveLength(new Set([...helpers, ...left]).size * 4 + 4);
  expect(await admin.keys(`${billing}:*`)).toEqual(left);
});

it('a change of the epoch makes the instances of its own namespace read everything, and no others', async () => {
  const server = await startRedis();
  world.track(server, (one) => one.stop());
  const admin = world.connect({}, server.url);
  // Without notifications a change is found by the rotation of the heartbeat, one key at a time, or by a resync.
  const watch = async (namespace: string) => {
    const client = world.connect({ lazyConnect: true }, server.url);
    const keys = Array.from({ length: 60 }, (_, index) => `${namespace}-tokens:${String(index)}`);
    const options = { namespace, heartbeatMs: 100, pollMs: 600_000, probeMs: 600_000 };
    const stores = keys.map((key) => world.store<Token>(client, { ...options, key }));
    const changes = stores.map((store) => collect(store.changes$));
    await Promise.all(stores.map((store) => store.ready()));
    await eventually(async () => expect(await admin.exists(`${namespace}:epoch`)).toBe(1));
    return { keys, changes };
  };
  const [orders, billing] = await Promise.all([watch('orders'), watch('billing')]);
  await admin.mset([...orders.keys, ...billing.keys].flatMap((key) => [key, bytesOf('new')]));
  await admin.set('orders:epoch', 'another');
  for (const one of orders.changes) await one.next(brings('new'));
  const sources = orders.changes.flatMap(({ values }) => values.map(({ source }) => source));
  expect(sources.filter((source) => source === 'resync').length).toBeGreaterThan(30);

  const seen = () => billing.changes.flatMap(({ values }) => values);
  const before = seen().length;
  // Each of these readings carries the epoch along.
  await eventually(() => expect(seen().length).toBeGreaterThan(before + 3));
  expect(new Set(seen().map(({ source }) => source))).toEqual(new Set(['live']));
});

it('two namespaces on one key see the writes of each other as those of a foreign program', async () => {
  const key = uniqueKey();
  const admin = world.connect();
  const [first, second] = [newNamespace(), newNamespace()];
  const open = (namespace: string) => world.watch<Token>(world.connect(), { key, namespace });
  const [one, same, other] = [await open(first), await open(first), await open(second)];
  const channels = [`${first}:0:${key}`, `${second}:0:${key}`];
  expect(await admin.pubsub('NUMSUB', ...channels)).toEqual([channels[0], 2, channels[1], 1]);

  const receipt = await one.store.save({ token: 'a' }, { ttlSeconds: 60, reason: 'login' });
  expect(receipt).toEqual({ announced: true });
  expect(await same.changes.next(brings('a'))).toMatchObject({
    origin: { instance: expect.any(String) as string },
    reason: 'login',
  });
  const seen = await other.changes.next(brings('a'));
  expect(seen).toMatchObject({ origin: 'out-of-band', reason: undefined });
  expect(other.store.current!.expiresAt).toEqual(one.store.current!.expiresAt);

  const outdated = other.store.current!;
  await one.store.update((current) => ({ token: `${current!.token}b` }), { ttlSeconds: 'keep' });
  await expect(other.store.save({ token: 'x' }, { onlyIf: outdated })).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  await other.changes.next(brings('ab'));
  await other.store.save({ token: 'c' }, { onlyIf: other.store.current! });
  expect(await one.changes.next(brings('c'))).toMatchObject({ origin: 'out-of-band' });
  expect(await admin.get(key)).toBe(bytesOf('c'));
});

it('a logout holds in its own namespace; in another one the credential was removed by somebody else', async () => {
  const key = uniqueKey();
  const [first, second] = [newNamespace(), newNamespace()];
  const one = await world.watch<Token>(world.connect(), { key, namespace: first });
  const other = await world.watch<Token>(world.connect(), { key, namespace: second });
  await one.store.save({ token: 'a' });
  await other.changes.next(brings('a'));
  await one.store.clear({ reason: 'logout' });
  expect(await other.changes.next(({ type }) => type === 'cleared')).toMatchObject({
    origin: 'out-of-band',
    reason: undefined,
  });
  const logIn = (): Token => ({ token: 'again' });
  const same = new Reauthenticator<Token>(one.store, both(logIn));
  await expect(same.credentials()).rejects.toMatchObject({ reason: 'cleared' });
  const apart = new Reauthenticator<Token>(other.store, both(logIn));
  expect(await apart.credentials()).toEqual({ token: 'again' });
  await Promise.all([same.close(), apart.close()]);
});

it('a directory neither lists nor watches nor names the keys of its own namespace', async () => {
  const admin = world.connect();
  const namespace = newNamespace();
  const prefix = namespace.slice(0, 8);
  const directory = new RedisCredentialDirectory<Token>(world.connect(), {
    ...HINTS_ONLY,
    namespace,
    prefix,
  });
  world.track(directory, (one) => one.close());
  const changes = collect(directory.changes$);
  await directory.ready();
  const ours = `${namespace.slice(8)}:attempt:{x}:x`;
  expect(() => directory.store(ours)).toThrow(
    `id: must not begin with ${namespace}:, which the store uses itself`,
  );
  await admin.set(prefix + ours, bytesOf('ours'));
  await admin.set(`${namespace}s:a`, bytesOf('theirs'));
  expect(await changes.next()).toMatchObject({ id: `${namespace.slice(8)}s:a` });
  expect(changes.values).toHaveLength(1);
  const ids: string[] = [];
  for await (const id of directory.ids()) ids.push(id);
  expect(ids).toEqual([`${namespace.slice(8)}s:a`]);
  const below = { namespace, prefix: `${namespace}:x:` };
  expect(() => new RedisCredentialDirectory<Token>(world.connect(), below)).toThrow(
    /^prefix: must/,
  );
});

it.each(['one client', 'one URL'])('stores in two namespaces on %s share nothing', async (on) => {
  const server = await startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
  world.track(server, (one) => one.stop());
  const admin = world.connect({}, server.url);
  const ours = async (): Promise<string[]> =>
    [...((await admin.client('LIST')) as string).matchAll(/ name=(credstream:\S+)/g)]
      .map(([, name]) => name!)
      .sort();
  const [commands, feed] = ['credstream:commands', 'credstream:feed'];
  const redis = on === 'one URL' ? server.url : world.connect({ lazyConnect: true }, server.url);
  const open = async (namespace?: string) => {
    const options: RedisCredentialStoreOptions<string> = { ...HINTS_ONLY, key: 'k', namespace };
    const store = new RedisCredentialStore<string>(redis, options);
    world.track(store, (one) => one.close());
    const changes = collect(store.changes$);
    await store.ready();
    return { store, changes };
  };
  const first = await open('orders');
  const second = await open();
  expect(await ours()).toEqual([commands, commands, feed, feed]);
  await first.store.save('a');
  expect(await second.changes.next()).toMatchObject({ type: 'saved', origin: 'out-of-band' });

  await first.store.close();
  await eventually(async () => expect(await ours()).toEqual([commands, feed]));
  await second.store.save('b');
  const [again, same] = [await open('orders'), await open()];
  expect(again.store.current?.credentials).toBe('b');
  expect(await ours()).toEqual([commands, commands, feed, feed]);
  await same.store.save('c');
  expect(await second.changes.next((change) => change.type === 'saved')).toMatchObject({
    origin: 'self',
  });
  expect(await again.changes.next()).toMatchObject({ origin: 'out-of-band' });
  await Promise.all([again, second, same].map(({ store }) => store.close()));
  await eventually(async () => expect(await ours()).toEqual([]));
});
