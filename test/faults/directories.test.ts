import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import { type CredentialChange, RedisCredentialDirectory } from '../../src/index.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { countCommands } from '../support/command-counter.js';
import type { RedisTarget } from '../support/redis.js';
import { collect, eventually } from '../support/wait.js';
import { FAST, isLive, isNotLive, NO_ROUNDS, useFaults } from './support/faults.js';

const { connect, proxy, startNotifying, startRedis, track } = useFaults();

type Options = Partial<ConstructorParameters<typeof RedisCredentialDirectory<string>>[1]>;

function open(target: RedisTarget, options: Options = {}): RedisCredentialDirectory<string> {
  const client = connect(target, { lazyConnect: true });
  const directory = new RedisCredentialDirectory<string>(client, {
    prefix: 'app:',
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
    ...FAST,
    ...options,
  });
  return track(directory, () => directory.close());
}

async function ready(target: RedisTarget, options: Options = {}) {
  const directory = open(target, options);
  const changes = collect(directory.changes$);
  const statuses = collect(directory.status$);
  await directory.ready();
  await statuses.next(isLive);
  return { directory, changes, statuses };
}

const say = (change: CredentialChange<string>): string =>
  `${change.id} ${change.type}${'snapshot' in change ? ` ${change.credentials}` : ''} ${change.source}`;

async function fill(admin: Redis, count: number, value = 'v1'): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, nth) => `id${String(nth)}`);
  const pipeline = admin.pipeline();
  for (const id of ids) pipeline.set(`app:${id}`, value);
  await pipeline.exec();
  return ids;
}

it('a directory catches up with every change made while the link was cut', async () => {
  const server = await startNotifying();
  const link = await proxy(server);
  const admin = connect(server);
  await admin.mset('app:kept', 'v1', 'app:changed', 'v1', 'app:gone', 'v1', 'app:opened', 'v1');
  const { directory, changes, statuses } = await ready(link);
  const opened = directory.store('opened');
  await opened.ready();
  link.refuse();
  link.cut();
  await statuses.next(isNotLive);
  expect(directory.status.freshness).toBe('stale');
  await admin.mset('app:changed', 'v2', 'app:new', 'v1', 'app:opened', 'v2');
  await admin.del('app:gone');
  await admin.set('app:brief', 'v1');
  await admin.del('app:brief');
  await link.heal();
  await statuses.next(isLive);
  await eventually(() =>
    expect(changes.values.map(say).sort()).toEqual([
      'changed saved v2 resync',
      'gone cleared resync',
      'new saved v1 resync',
      'opened saved v2 resync',
    ]),
  );
  expect(changes.values.find(({ id }) => id === 'opened')?.previous?.credentials).toBe('v1');
  await admin.set('app:kept', 'v2');
  expect(say(await changes.next(({ id }) => id === 'kept'))).toBe('kept saved v2 live');
});

it('a directory notices a link that is dead in one direction, and a server that hangs', async () => {
  const server = await startNotifying();
  const link = await proxy(server);
  const admin = connect(server);
  const { directory, changes, statuses } = await ready(link);
  link.pause('toClient');
  await statuses.next(isNotLive);
  await admin.set('app:a', 'v1');
  await link.heal();
  await statuses.next(isLive);
  await changes.next(({ id }) => id === 'a');
  await directory.close();
  expect(changes.completed).toBe(true);
});

it('a directory reports every credential that a killed server lost, and finds the later ones', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const ids = await fill(admin, 500);
  const { changes, statuses } = await ready(server);
  await server.kill();
  await statuses.next(isNotLive);
  await server.restart();
  await statuses.next(isLive);
  await eventually(() => expect(changes.values).toHaveLength(500));
  expect(changes.values.map(({ id }) => id).sort()).toEqual(ids.sort());
  expect(new Set(changes.values.map(({ type, source }) => `${type} ${source}`))).toEqual(
    new Set(['cleared resync']),
  );
  const other = connect(server);
  await other.set('app:id1', 'v2');
  expect(say(await changes.next(({ type }) => type === 'saved'))).toBe('id1 saved v2 live');
});

it('a directory polls where Redis sends no notifications, also for unknown ids', async () => {
  const server = await startRedis({ config: { 'notify-keyspace-events': '' } });
  const admin = connect(server);
  await admin.set('app:a', 'v1');
  const { directory, changes } = await ready(server);
  await eventually(() => expect(directory.status.notifications).toBe('announcements'));
  await admin.set('app:a', 'v2');
  expect(say(await changes.next())).toBe('a saved v2 live');
  await admin.set('app:b', 'v1');
  expect(say(await changes.next())).toBe('b saved v1 live');
  await admin.del('app:a');
  expect(say(await changes.next())).toBe('a cleared live');
});

it('a directory reads little under a flood of forged hints, and misses no change in it', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await fill(admin, 50);
  // A busy machine must not look like a dead server.
  const { changes, statuses } = await ready(server, { ...NO_ROUNDS, replyTimeoutMs: 10_000 });
  const before = statuses.values.length;
  const counted = await countCommands(admin, async () => {
    for (let round = 0; round < 30; round += 1) {
      const pipeline = admin.pipeline();
      for (let nth = 0; nth < 1_000; nth += 1) {
        pipeline.publish(`credstream:0:app:no${String(round)}-${String(nth)}`, 'forged');
        pipeline.publish(`__keyspace@0__:app:id${String(nth % 50)}`, 'del');
      }
      await pipeline.exec();
    }
    await admin.set('app:real', 'v1');
    await changes.next(({ id }) => id === 'real');
  });
  expect(statuses.values.slice(before)).toEqual([]);
  expect(changes.values.map(say)).toEqual(['real saved v1 live']);
  const { readCommand, readTextCommand } = await abilitiesOf(admin);
  const calls = (name: string): number => counted.get(name) ?? 0;
  expect(calls(readCommand) + calls(readTextCommand)).toBeLessThan(10_000);
  await admin.set('app:id7', 'v2');
  expect(say(await changes.next(({ id }) => id === 'id7'))).toBe('id7 saved v2 live');
});

it('a directory emits thousands of expiries at one instant, each once, by one timer', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const { changes } = await ready(server, NO_ROUNDS);
  const saveAll = async (value: string, endsAt: number): Promise<void> => {
    const pipeline = admin.pipeline();
    for (let nth = 0; nth < 3_000; nth += 1)
      pipeline.set(`app:${String(nth)}`, value, 'PXAT', endsAt);
    await pipeline.exec();
  };
  // How long all of them take on this machine, as busy as it is.
  const startedAt = performance.now();
  await saveAll('v1', Date.now() + 600_000);
  await eventually(() => expect(changes.values).toHaveLength(3_000), { timeoutMs: 30_000 });
  const endsAt = Math.ceil(Date.now() + 500 + 2 * (performance.now() - startedAt));
  await saveAll('v2', endsAt);
  const expired = () => changes.values.filter(({ type }) => type === 'expired');
  await eventually(() => expect(expired()).toHaveLength(3_000), { timeoutMs: 30_000 });
  expect(new Set(expired().map(({ id }) => id)).size).toBe(3_000);
  expect(expired().every(({ at }) => at > endsAt)).toBe(true);
});

it('a directory concludes expiries by itself while it is cut off', async () => {
  const server = await startNotifying();
  const link = await proxy(server);
  const admin = connect(server);
  await admin.set('app:a', 'v1', 'PX', 1_500);
  const { changes, statuses } = await ready(link);
  link.refuse();
  link.cut();
  await statuses.next(isNotLive);
  expect(say(await changes.next())).toBe('a expired local');
  await link.heal();
  await statuses.next(isLive);
  expect(changes.values).toHaveLength(1);
});

it('a directory treats another Redis type under the prefix as one unreadable id', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.hset('app:hash', 'field', 'value');
  await admin.set('app:a', 'v1');
  const { directory, changes } = await ready(server);
  await admin.hset('app:hash', 'field', 'other');
  expect(say(await changes.next())).toBe('hash unreadable live');
  await admin.set('app:a', 'v2');
  expect(say(await changes.next())).toBe('a saved v2 live');
  await expect(directory.clear('hash')).rejects.toThrow(/another Redis type/);
  const ids: string[] = [];
  for await (const id of directory.ids()) ids.push(id);
  expect(ids).toEqual(['a']);
  expect(await directory.clearAll()).toMatchObject({ cleared: 1, failed: 0 });
  expect(await admin.type('app:hash')).toBe('hash');
});

it('a directory has one subscription, and one command per heartbeat, however many ids are watched', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const ids = await fill(admin, 1_000);
  const directory = open(server, { ...NO_ROUNDS, heartbeatMs: 100 });
  await directory.ready();
  const stores = ids.map((id) => directory.store(id));
  await Promise.all(stores.map((store) => store.ready()));
  expect(await admin.pubsub('NUMPAT')).toBe(2);
  const channels = (await admin.pubsub('CHANNELS', '*app:*')) as string[];
  expect(channels).toEqual([]);
  const seen = new Set(stores.map((store) => store.current?.credentials));
  expect(seen).toEqual(new Set(['v1']));
  await Promise.all(stores.map((store) => store.close()));
  await directory.close();
  await eventually(async () => expect(await admin.pubsub('NUMPAT')).toBe(0));
});

it('a directory reads each key alone where scripts are refused', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.acl('SETUSER', 'plain', 'on', '>pw', '~*', '&*', '+@all', '-@scripting');
  const ids = await fill(admin, 300);
  const { hostname, port } = new URL(server.url);
  const { directory, changes } = await ready({
    url: `redis://plain:pw@${hostname}:${port}`,
  });
  await Promise.all(ids.map((id) => directory.store(id).ready()));
  expect(directory.current('id7')?.credentials).toBe('v1');
  await admin.set('app:id7', 'v2');
  expect(say(await changes.next())).toBe('id7 saved v2 live');
});

it('a directory reports that keys may not be listed, and recovers', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.acl('SETUSER', 'narrow', 'on', '>pw', '~*', '&*', '+@all', '-scan');
  await admin.set('app:a', 'v1');
  const { hostname, port } = new URL(server.url);
  const directory = open({ url: `redis://narrow:pw@${hostname}:${port}` });
  const statuses = collect(directory.status$);
  const changes = collect(directory.changes$);
  await statuses.next(({ link }) => link === 'unauthorized');
  await admin.acl('SETUSER', 'narrow', '+scan');
  await statuses.next(isLive);
  await admin.set('app:a', 'v2');
  expect(say(await changes.next())).toBe('a saved v2 live');
});
