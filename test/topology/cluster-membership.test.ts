import { describe, expect, it } from 'vitest';

import { expectWithin } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';
import { brings, FAST, isLive, shown, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

/** How soon a client notices that does nothing: a heartbeat, a deadline, and what comes after them. */
const BOUND_MS = FAST.heartbeatMs + FAST.replyTimeoutMs + 500;
const slot = (key: string): number => world.cluster.slotOf(key);

describe('a store in a cluster whose masters change', () => {
  it('follows slots to an added master, and away from a removed one', async () => {
    const watched = await Promise.all((await world.keys()).map(({ key }) => world.watch(key)));
    for (const { store } of watched) await store.save('before');
    const added = await world.cluster.addMaster();
    await added.admin.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
    for (const { store } of watched) {
      const from = await world.cluster.ownerOf(store.id);
      await world.cluster.migrateSlot(slot(store.id), from, added);
    }
    for (const { store, changes } of watched) {
      await added.admin.set(store.id, 'on the new one');
      await expectWithin(BOUND_MS, () => changes.next(brings('on the new one')));
    }
    const connected = async (): Promise<number> =>
      String(await added.admin.call('CLIENT', 'LIST')).split('name=credstream').length - 1;
    expect(await connected()).toBeGreaterThan(0);
    await world.cluster.removeMaster(added);
    for (const { store, changes } of watched) {
      const owner = await world.cluster.ownerOf(store.id);
      await eventually(() => isLive(store.status));
      await owner.admin.set(store.id, 'moved on');
      await expectWithin(BOUND_MS, () => changes.next(brings('moved on')));
    }
    for (const one of watched) expect(shown(one)).toEqual(['before', 'on the new one', 'moved on']);
  });

  it('keeps no connection to a master without slots, though it still runs', async () => {
    const { key, server } = (await world.keys())[0]!;
    const added = await world.cluster.addMaster();
    const one = await world.watch(key);
    await one.store.save('before');
    await world.cluster.migrateSlot(slot(key), server, added);
    const connected = async (): Promise<number> =>
      String(await added.admin.call('CLIENT', 'LIST')).split('name=credstream').length - 1;
    await eventually(async () => expect(await connected()).toBe(2));
    await world.cluster.migrateSlot(slot(key), added, server);
    await eventually(async () => expect(await connected()).toBe(0));
    await server.admin.set(key, 'foreign');
    await one.changes.next(brings('foreign'));
    expect(shown(one)).toEqual(['before', 'foreign']);
    await world.cluster.remove(added);
  });
});
