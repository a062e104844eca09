import { expect, it } from 'vitest';

import { both } from '../support/both.js';
import { Reauthenticator } from '../../src/index.js';
import { deferred, eventually } from '../support/wait.js';
import { FAILOVER } from './support/cluster-world.js';
import { KEY, useSentinels } from './support/sentinel-world.js';

const { start, watch, track } = useSentinels();

it('a re-authentication commits one result while the master fails over', async () => {
  const set = await start();
  const stores = await Promise.all([watch(set), watch(set), watch(set)]);
  const gate = deferred();
  let calls = 0;
  const discarded: string[] = [];
  const instances = stores.map(({ store }) => {
    const instance = new Reauthenticator<string>(store, {
      ...both(async () => {
        calls += 1;
        await gate.promise;
        return 'v2';
      }),
      // A lease that cannot be renewed during the failover outlasts it, or another instance rightly starts a second attempt.
      leaseMs: 2 * FAILOVER.timeoutMs,
      attemptTimeoutMs: 2 * FAILOVER.timeoutMs,
      timeoutMs: 2 * FAILOVER.timeoutMs,
      onDiscarded: (result) => discarded.push(result),
    });
    return track(instance, (one) => one.close());
  });
  await stores[0].store.save('v1');
  const rejected = await Promise.all(instances.map((instance) => instance.snapshot()));
  for (const [index, instance] of instances.entries()) instance.reject(rejected[index]!);
  await eventually(() => calls === 1);
  const old = await set.settled();
  // The lease is replicated like everything else, a moment after it was taken.
  await set.replicated(old);
  await old.process.kill();
  const master = await set.waitForMaster(old);
  gate.resolve();
  await eventually(async () => expect(await master.admin.get(KEY)).toBe('v2'), FAILOVER);
  for (const instance of instances) {
    await eventually(async () => expect(await instance.credentials()).toBe('v2'), FAILOVER);
  }
  expect(calls).toBe(1);
  expect(discarded).toEqual([]);
  expect(instances.reduce((sum, { counts }) => sum + counts.committed, 0)).toBe(1);
});
