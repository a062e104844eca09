import { describe, expect, it } from 'vitest';

import { RedisCredentialDirectory } from '../../src/index.js';
import type { ClusterServer } from '../support/redis-cluster/index.js';
import { programAbilities } from '../support/redis-topology/topology-server.js';
import { collect, eventually } from '../support/wait.js';
import { brings, FAST, useCluster } from './support/cluster-world.js';

// What docs/guides/redis-topologies.md says that a cluster costs. No round comes by while changes are counted.
const QUIET = { heartbeatMs: 600_000, pollMs: 600_000, probeMs: 600_000 } as const;

const world = useCluster();

async function connections(): Promise<number[]> {
  const masters = await world.cluster.masters();
  const lists = await Promise.all(masters.map(({ admin }) => admin.call('CLIENT', 'LIST')));
  return lists.map((list) => String(list).split('name=credstream').length - 1).sort();
}

/** How often commands were executed on all masters together. */
async function calls(...names: string[]): Promise<number> {
  const masters = await world.cluster.masters();
  const infos = await Promise.all(
    masters.map(({ admin }: ClusterServer) => admin.info('commandstats')),
  );
  const counts = infos.flatMap((info) =>
    names.map((name) => {
      const line = info.split('\r\n').find((one) => one.startsWith(`cmdstat_${name}:`));
      return Number(/calls=(\d+)/.exec(line ?? '')?.[1] ?? 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

function open(): RedisCredentialDirectory<string> {
  const directory = new RedisCredentialDirectory<string>(world.client(), {
    prefix: 'cost:',
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
    ...FAST,
    ...QUIET,
  });
  return world.track(directory, () => directory.close());
}

describe('connections of a process', () => {
  it('that only writes number one for each master that it met', async () => {
    const client = world.client();
    for (const { key } of await world.keys()) await world.open(key, {}, client).save('x');
    expect(await connections()).toEqual([1, 1, 1]);
  });

  it('that watches keys of one master number two there, and one for each other', async () => {
    await world.watch((await world.keys())[0]!.key);
    await eventually(async () => expect(await connections()).toEqual([1, 1, 2]));
  });

  it('that watches keys of each master, or has a directory, number two for each', async () => {
    const directory = open();
    await directory.ready();
    await eventually(async () => expect(await connections()).toEqual([2, 2, 2]));
  });

  it('that waits for replicas number one more for the master of the write', async () => {
    const client = world.client();
    const { key } = (await world.keys())[0]!;
    const { store } = await world.watch(key, {}, client);
    expect(await store.save('x', { replicas: 1 })).toMatchObject({ replicas: 1 });
    await eventually(async () => expect(await connections()).toEqual([1, 1, 3]));
  });
});

describe('a change', () => {
  it('costs one read of a watching store, though the bus repeats its announcement', async () => {
    const one = await world.watch((await world.keys())[0]!.key, QUIET);
    const writer = world.open(one.store.id, QUIET);
    await writer.save('first');
    await one.changes.next(brings('first'));
    const { readCommand } = await programAbilities();
    const before = await calls(readCommand);
    for (let n = 0; n < 20; n += 1) {
      await writer.save(String(n));
      await one.changes.next(brings(String(n)));
    }
    const reads = (await calls(readCommand)) - before;
    expect(reads).toBeGreaterThanOrEqual(20);
    expect(reads).toBeLessThanOrEqual(26);
  });

  it('costs one read of a directory, which receives the hint on every master', async () => {
    const directory = open();
    const changes = collect(directory.changes$);
    await directory.ready();
    const writer = open();
    await writer.save('id', 'first');
    await changes.next();
    const { readCommand } = await programAbilities();
    const before = await calls(readCommand);
    for (let n = 0; n < 20; n += 1) {
      await writer.save('id', String(n));
      await changes.next();
    }
    const reads = (await calls(readCommand)) - before;
    expect(reads).toBeGreaterThanOrEqual(20);
    // Without a read of the writer before each save there would be half as many.
    expect(reads).toBeLessThanOrEqual(46);
  });
});
