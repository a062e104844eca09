import { expect, it } from 'vitest';

import { type CredentialChange, RedisCredentialDirectory } from '../../src/index.js';
import type { ClusterServer } from '../support/redis-cluster/index.js';
import { collect, type Collected, eventually } from '../support/wait.js';
import { FAILOVER, FAST, useCluster } from './support/cluster-world.js';

const world = useCluster();

const PER_MASTER = 20;
let made = 0;

interface Filled {
  readonly directory: RedisCredentialDirectory<string>;
  readonly prefix: string;
  readonly changes: Collected<CredentialChange<string>>;
  readonly idsOf: ReadonlyMap<ClusterServer, readonly string[]>;
  readonly ids: readonly string[];
}

/** A directory that is live, with as many credentials on each master. */
async function filled(): Promise<Filled> {
  made += 1;
  const prefix = `d${String(made)}:`;
  const directory = open(prefix);
  const idsOf = new Map<ClusterServer, string[]>();
  const servers = await world.cluster.masters();
  for (const server of servers) idsOf.set(server, []);
  for (let n = 0; [...idsOf.values()].some(({ length }) => length < PER_MASTER); n += 1) {
    const id = `id${String(n)}`;
    // Slots lie in a row on each master of a new cluster; nothing has moved for good here.
    const ids = idsOf.get(await world.cluster.ownerOf(`${prefix}${id}`))!;
    if (ids.length < PER_MASTER) ids.push(id);
  }
  const ids = [...idsOf.values()].flat();
  await Promise.all(ids.map((id) => directory.save(id, 'first')));
  const changes = collect(directory.changes$);
  await directory.ready({ timeoutMs: 20_000 });
  return { directory, prefix, changes, idsOf, ids };
}

function open(prefix: string): RedisCredentialDirectory<string> {
  const directory = new RedisCredentialDirectory<string>(world.client(), { prefix, ...FAST });
  return world.track(directory, () => directory.close());
}

async function listed(directory: RedisCredentialDirectory<string>): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of directory.ids()) ids.push(id);
  return ids.sort();
}

const emitted = ({ changes }: Filled): string[] =>
  changes.values.map(({ id, type }) => `${id} ${type}`).sort();
const all = (ids: readonly string[], type: string): string[] =>
  ids.map((id) => `${id} ${type}`).sort();

it('a directory lists the keys of all masters, each id once', async () => {
  const { directory, ids } = await filled();
  expect(await listed(directory)).toEqual([...ids].sort());
});

it('a directory lists every id once while slots move, and emits nothing', async () => {
  const one = await filled();
  const [from, to] = [...one.idsOf.keys()];
  const slots = one.idsOf.get(from!)!.map((id) => world.cluster.slotOf(`${one.prefix}${id}`));
  const moving = new AbortController();
  const move = (async () => {
    await world.cluster.migrateSlot(slots, from!, to!);
    await world.cluster.migrateSlot(slots, to!, from!);
  })().finally(() => moving.abort());
  let lists = 0;
  while (!moving.signal.aborted) {
    expect(await listed(one.directory)).toEqual([...one.ids].sort());
    lists += 1;
  }
  await move;
  expect(lists).toBeGreaterThan(1);
  await world.reads();
  expect(emitted(one)).toEqual([]);
});

it('a directory emits no clear for keys that move during a resync', async () => {
  const one = await filled();
  const [from, to] = [...one.idsOf.keys()];
  const keys = one.idsOf.get(from!)!.map((id) => `${one.prefix}${id}`);
  const slots = keys.map((key) => world.cluster.slotOf(key));
  const move = world.cluster.moveOf(slots, from!, to!);
  await move.open();
  for (const key of keys.slice(0, PER_MASTER / 2)) await move.moveKeys([key]);
  for (const server of [from!, to!]) await server.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually(() => expect(one.directory.status.link).not.toBe('live'));
  await one.directory.ready();
  await eventually(() => expect(one.directory.status.link).toBe('live'));
  await world.reads();
  expect(emitted(one)).toEqual([]);
  await move.moveKeys();
  await move.close();
  await world.cluster.settled();
  await world.cluster.migrateSlot(slots, to!, from!);
  await Promise.all(one.ids.map((id) => one.directory.save(id, 'second')));
  await eventually(() => expect(emitted(one)).toEqual(all(one.ids, 'saved')));
});

it('a directory emits changes of every id on every master exactly once, whoever wrote them', async () => {
  const one = await filled();
  const other = open(one.prefix);
  await Promise.all(one.ids.map((id) => other.save(id, 'second')));
  await eventually(() => expect(emitted(one)).toEqual(all(one.ids, 'saved')));
  for (const [server, ids] of one.idsOf)
    for (const id of ids) await server.admin.del(`${one.prefix}${id}`);
  const both = [...all(one.ids, 'saved'), ...all(one.ids, 'cleared')].sort();
  await eventually(() => expect(emitted(one)).toEqual(both));
  // Nothing is left there to be read.
  await world.watch((await world.keys())[0]!.key);
  await world.reads();
  expect(emitted(one)).toEqual(both);
});

it('a directory emits the lost keys when one master was flushed, and no others', async () => {
  const one = await filled();
  const [lost] = one.idsOf.keys();
  await eventually(async () => expect(await lost!.admin.keys('credstream:epoch*')).toHaveLength(1));
  await world.cluster.flushMaster(lost!);
  const gone = all(one.idsOf.get(lost!)!, 'cleared');
  await eventually(() => expect(emitted(one)).toEqual(gone), { timeoutMs: 30_000 });
  await world.reads();
  expect(emitted(one)).toEqual(gone);
});

it('a directory clears all ids, on every master', async () => {
  const one = await filled();
  expect(await one.directory.clearAll({ reason: 'leaked' })).toMatchObject({
    cleared: one.ids.length,
    failed: 0,
  });
  await eventually(() => expect(emitted(one)).toEqual(all(one.ids, 'cleared')));
  expect(await listed(one.directory)).toEqual([]);
});

it('a directory follows a failover of one master, and emits only real changes', async () => {
  const one = await filled();
  const [lost] = one.idsOf.keys();
  const [id = '', other = ''] = one.idsOf.get(lost!)!;
  await lost!.replicated();
  await lost!.process.kill();
  const heir = await world.cluster.takeover(lost!, `${one.prefix}${id}`);
  await heir.admin.set(`${one.prefix}${id}`, '"foreign"');
  const change = await one.changes.next((candidate) => candidate.id === id, FAILOVER.timeoutMs);
  expect(change.type).toBe('saved');
  await eventually(() => expect(one.directory.status.link).toBe('live'), FAILOVER);
  await one.directory.save(other, 'second');
  await one.changes.next((candidate) => candidate.id === other);
  await world.reads();
  expect(emitted(one)).toEqual(all([id, other], 'saved'));
  expect(await listed(one.directory)).toEqual([...one.ids].sort());
});
