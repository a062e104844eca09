import { expect, describe, it } from 'vitest';

import { type CredentialChange, RedisCredentialDirectory } from '../../src/index.js';
import { collect, eventually, type Collected } from '../support/wait.js';
import { FAILOVER, FAST, useCluster } from './support/cluster-world.js';

// Else nobody serves anything while a slot has no master.
const world = useCluster({ requireFullCoverage: false });
let made = 0;

function open(prefix?: string): RedisCredentialDirectory<string> {
  made += 1;
  const directory = new RedisCredentialDirectory<string>(world.client(), {
    prefix: prefix ?? `d${String(made)}:`,
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
    ...FAST,
  });
  return world.track(directory, () => directory.close());
}

const ids = Array.from({ length: 60 }, (_, index) => `tenant-${String(index)}`);

async function listed(directory: RedisCredentialDirectory<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const id of directory.ids()) all.push(id);
  return all;
}

/** What was told, as `id type`. */
const said = (changes: Collected<CredentialChange<string>>): string[] =>
  changes.values.map(({ id, type }) => `${id} ${type}`);

describe('a directory in a cluster', () => {
  it('lists the ids of all masters, and tells of each change once', async () => {
    const directory = open();
    const writer = open(directory.prefix);
    await writer.save('before', 'x');
    const changes = collect(directory.changes$);
    await directory.ready();
    await Promise.all(ids.map((id) => writer.save(id, `token of ${id}`)));
    await eventually(() => expect(changes.values.length).toBeGreaterThanOrEqual(ids.length));
    expect(said(changes).sort()).toEqual(ids.map((id) => `${id} saved`).sort());
    expect((await listed(directory)).sort()).toEqual(['before', ...ids].sort());
    const owners = await Promise.all(
      ids.map(async (id) => (await world.cluster.ownerOf(directory.prefix + id)).port),
    );
    expect(new Set(owners).size).toBe(3);
    expect(await directory.clearAll({ reason: 'over' })).toMatchObject({ cleared: 61, failed: 0 });
    await eventually(() => expect(changes.values.length).toBe(ids.length + 61));
    expect(await listed(directory)).toEqual([]);
  });

  it('keeps what is on other masters live while one is lost, and catches up with its heir', async () => {
    const directory = open();
    const [first, second] = await world.cluster.masters();
    const lost = await world.cluster.keyOn(first!, `${directory.prefix}l`);
    const kept = await world.cluster.keyOn(second!, `${directory.prefix}k`);
    const [lostId, keptId] = [lost, kept].map((key) => key.slice(directory.prefix.length));
    const stores = [lostId!, keptId!].map((id) => directory.store(id));
    for (const store of stores) world.track(store, () => store.close());
    const changes = collect(directory.changes$);
    await directory.ready();
    await Promise.all(stores.map((store) => store.ready()));
    await Promise.all(stores.map((store) => store.save('one')));
    await first!.admin.wait(1, 1_000);
    const keptStatuses = collect(stores[1]!.status$);
    await first!.server.kill();
    await eventually(() => stores[0]!.status.link === 'reconnecting');
    // Written and told of while the other master is away.
    await second!.admin.set(kept, 'two');
    await eventually(() => expect(stores[1]!.current?.credentials).toBe('two'));
    expect(said(changes)).toContain(`${keptId!} saved`);
    const heir = await world.cluster.takeover(first!, lost);
    await heir.admin.set(lost, 'three');
    await eventually(() => expect(stores[0]!.current?.credentials).toBe('three'), FAILOVER);
    await eventually(() => directory.status.link === 'live', FAILOVER);
    expect(keptStatuses.values.every(({ link }) => link === 'live')).toBe(true);
    await first!.server.restart();
    await world.cluster.settled();
  }, 60_000);

  it('learns that one master lost its data, of credentials that nobody has opened too', async () => {
    const directory = open();
    await Promise.all(ids.map((id) => directory.save(id, 'x')));
    const changes = collect(directory.changes$);
    await directory.ready();
    const lost = (await world.cluster.masters())[0]!;
    // Known by its epoch from then on.
    await eventually(async () =>
      expect((await lost.admin.keys('credstream:epoch*')).length).toBeGreaterThan(0),
    );
    await eventually(() => directory.status.freshness === 'fresh');
    const gone: string[] = [];
    for (const id of ids)
      if ((await world.cluster.ownerOf(directory.prefix + id)) === lost) gone.push(`${id} cleared`);
    await lost.admin.flushall();
    await eventually(() => expect(said(changes).sort()).toEqual(gone.sort()), FAILOVER);
    expect(gone.length).toBeGreaterThan(5);
  }, 60_000);

  it('follows slots that move, with what is in them', async () => {
    const directory = open();
    const [from, to] = await world.cluster.masters();
    const key = await world.cluster.keyOn(from!, `${directory.prefix}m`);
    const id = key.slice(directory.prefix.length);
    await directory.save(id, 'here');
    const changes = collect(directory.changes$);
    await directory.ready();
    await world.cluster.migrateSlot(world.cluster.slotOf(key), from!, to!);
    await to!.admin.set(key, 'there');
    await eventually(() => expect(said(changes)).toEqual([`${id} saved`]));
    expect(await listed(directory)).toEqual([id]);
    expect(await directory.load(id)).toBe('there');
    await world.cluster.migrateSlot(world.cluster.slotOf(key), to!, from!);
    await directory.clear(id);
    await eventually(() => expect(said(changes)).toEqual([`${id} saved`, `${id} cleared`]));
  }, 60_000);
});
