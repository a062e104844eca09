import { expect, it } from 'vitest';

import { UnavailableError } from '../../src/index.js';
import type { ClusterServer } from '../support/redis-cluster/index.js';
import { useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

async function commandsOf({ admin }: ClusterServer): Promise<number> {
  const info = await admin.info('stats');
  return Number(/^total_commands_processed:(\d+)/m.exec(info)?.[1]);
}

it('a command does not bounce between two masters that each name the other', async () => {
  const [{ server: one, key }, { server: other }] = (await world.keys()) as [
    { server: ClusterServer; key: string },
    { server: ClusterServer },
  ];
  const slot = world.cluster.slotOf(key);
  // The other one goes on naming this one.
  await one.admin.cluster('SETSLOT', slot, 'NODE', other.id);
  const before = (await commandsOf(one)) + (await commandsOf(other));
  const store = world.open(key, { replyTimeoutMs: 500 });
  await expect(store.save('x')).rejects.toBeInstanceOf(UnavailableError);
  const after = (await commandsOf(one)) + (await commandsOf(other));
  // Half a second without a pause would be more than twice as many.
  expect(after - before).toBeLessThan(150);
  await one.admin.cluster('SETSLOT', slot, 'NODE', one.id);
  await world.cluster.settled();
  await store.save('y');
  expect(await store.load()).toBe('y');
});
