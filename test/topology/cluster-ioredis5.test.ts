import { Cluster, Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';

import { eventually } from '../support/wait.js';
import { brings, FAILOVER, isLive, shown, useCluster } from './support/cluster-world.js';

// For the connections that the library makes to the servers of a cluster, too.
vi.mock('ioredis', () => import('ioredis5'));

const world = useCluster();

it('the version of ioredis is the older supported major', async () => {
  const five = await import('ioredis5');
  expect([Redis, Cluster]).toEqual([five.Redis, five.Cluster]);
  expect(new Redis({ lazyConnect: true }).options).not.toHaveProperty('replyMapping');
});

it('a store works on every master, by its own connections of that major', async () => {
  for (const { server, key } of await world.keys()) {
    const one = await world.watch(key);
    await eventually(() => one.store.status.notifications === 'keyspace');
    await one.store.save('saved', { ttlSeconds: 100 });
    await server.admin.set(key, 'foreign');
    await one.changes.next(brings('foreign'));
    await one.store.update((text) => `${text ?? ''} updated`);
    await one.changes.next(brings('foreign updated'));
    await one.store.clear();
    await one.changes.next(({ type }) => type === 'cleared');
    expect(shown(one)).toEqual(['saved', 'foreign', 'foreign updated', 'cleared']);
  }
});

it('a store follows a failover with that major', async () => {
  const { server: lost, key } = (await world.keys())[0]!;
  const one = await world.watch(key);
  await one.store.save('before');
  await lost.replicated();
  await lost.process.kill();
  await one.statuses.next(({ link }) => link === 'reconnecting');
  const heir = await world.cluster.takeover(lost, key);
  await one.statuses.next(isLive, FAILOVER.timeoutMs);
  await heir.admin.set(key, 'after');
  await one.changes.next(brings('after'));
});
