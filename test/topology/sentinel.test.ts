import { map } from 'rxjs';
import { expect, it } from 'vitest';

import { storeConnections } from '../integration/connections.js';
import { startSentinel } from '../support/redis-sentinel/index.js';
import { noiseMs } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { brings, FAILOVER, isLive, shown } from './support/cluster-world.js';
import { KEY, useSentinels } from './support/sentinel-world.js';

const { start, open, watch, client, track } = useSentinels();

const isNotLive = (status: Parameters<typeof isLive>[0]): boolean => !isLive(status);

it('a store follows the master when it is killed, also where nobody does anything', async () => {
  const set = await start();
  const watched = await watch(set);
  await watched.store.save('v1', { ttlSeconds: 600 });
  const old = await set.master();
  await set.replicated(old);
  await old.process.kill();
  await watched.statuses.next(isNotLive);
  await set.waitForMaster(old);
  await watched.statuses.next(isLive, FAILOVER.timeoutMs);
  // By a client of the new master alone: only the feed can tell. Again if the link is broken just then, as by the sentinels, who
  // break it to everybody whom they make a master; on a busy machine they may also change their minds.
  const foreign: string[] = [];
  await eventually(async () => {
    const text = `foreign ${String(foreign.length)}`;
    await (await set.master()).admin.set(KEY, text);
    foreign.push(text);
    expect(await watched.changes.next(brings(text))).toMatchObject({
      source: 'live',
      origin: 'out-of-band',
    });
  }, FAILOVER);
  await eventually(() => watched.store.save('own'), FAILOVER);
  await watched.changes.next(brings('own'));
  expect(await (await set.master()).admin.get(KEY)).toBe('own');
  // What was written before the last try may have been lost, or overwritten before it could be seen.
  const all = ['v1', ...foreign, 'own'];
  expect(shown(watched)).toEqual(all.filter((text) => shown(watched).includes(text)));
  expect(shown(watched).slice(-2)).toEqual(all.slice(-2));
});

it('a store is not misled by a master that hangs, is replaced, and comes back', async () => {
  const set = await start();
  const watched = await watch(set);
  await watched.store.save('v1');
  const old = await set.master();
  await set.replicated(old);
  await old.process.suspend();
  await watched.statuses.next(isNotLive);
  const master = await set.waitForMaster(old);
  await watched.statuses.next(isLive, FAILOVER.timeoutMs);
  await master.admin.set(KEY, 'v2');
  await watched.changes.next(brings('v2'), FAILOVER.timeoutMs);
  await old.process.resume();
  // For a while there are two masters.
  await eventually(() => old.admin.set(KEY, 'split brain'));
  expect(await watched.store.load()).toBe('v2');
  await set.settled();
  await master.admin.set(KEY, 'v3');
  await watched.changes.next(brings('v3'), FAILOVER.timeoutMs);
  expect(shown(watched)).toEqual(['v1', 'v2', 'v3']);
});

it('a store follows a failover on request, and leaves no connection behind', async () => {
  const set = await start();
  const watched = await watch(set);
  await watched.store.save('v1');
  const old = await set.settled();
  await set.replicated(old);
  const master = await set.failover();
  await set.settled();
  await watched.statuses.next(isLive, FAILOVER.timeoutMs);
  await eventually(() => watched.store.save('v2'), FAILOVER);
  expect(await master.admin.get(KEY)).toBe('v2');
  await eventually(async () => expect(await storeConnections(old.admin)).toEqual([]));
  await watched.store.close();
  for (const { admin } of set.servers) {
    await eventually(async () => expect(await storeConnections(admin)).toEqual([]));
  }
  expect(shown(watched)).toEqual(['v1', 'v2']);
});

it('a store emits the writes that a failover lost as changes', async () => {
  const set = await start({ replicas: 1 });
  const watched = await watch(set);
  await watched.store.save('v1');
  await watched.changes.next(brings('v1'));
  const old = await set.settled();
  await set.replicated(old);
  const [replica] = await set.replicas();
  // Not even in a socket of the replica may the write wait.
  await replica!.process.suspend();
  await old.admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await watched.store.save('lost');
  await old.process.kill();
  await replica!.process.resume();
  expect(await set.waitForMaster(old)).toBe(replica);
  expect(await watched.changes.next(brings('v1'), FAILOVER.timeoutMs)).toMatchObject({
    type: 'saved',
    source: 'resync',
  });
});

it('a store emits an expiry on time over a failover', async () => {
  const set = await start();
  const watched = await watch(set);
  // Measured when it comes, as the steps of the test may last longer than the credential.
  const lateness = collect(watched.store.changes$.pipe(map(({ at }) => Date.now() - at)));
  await watched.store.save('v1', { ttlSeconds: 4 });
  const old = await set.settled();
  await set.replicated(old);
  await old.process.kill();
  await watched.changes.next(({ type }) => type === 'expired', 30_000);
  expect(lateness.values.at(-1)).toBeLessThan(1_000 + noiseMs());
  await set.waitForMaster(old);
  await watched.statuses.next(isLive, FAILOVER.timeoutMs);
  expect(shown(watched)).toEqual(['v1', 'expired']);
});

it('a store reports an error while the sentinels name an unreachable master, and recovers', async () => {
  const set = await start({ replicas: 0 });
  const [master] = set.servers;
  await master!.process.kill();
  const store = open(set);
  const ready = store.ready({ timeoutMs: 20_000 });
  await eventually(() => expect(store.status.error).toMatchObject({ code: 'UNAVAILABLE' }));
  await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(store.status).toMatchObject({ link: 'connecting', freshness: 'unknown' });
  await master!.process.restart();
  await ready;
  await store.save('v1');
  expect(await client(set).get(KEY)).toBe('v1');
});

it('a store finds the master after all sentinels that the caller named were replaced one by one', async () => {
  const set = await start({ replicas: 0 });
  const watched = await watch(set);
  const master = await set.master();
  /** The store has to ask a sentinel again. */
  const reconnected = async (): Promise<void> => {
    await master.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await watched.statuses.next(isNotLive);
    await watched.statuses.next(isLive, FAILOVER.timeoutMs);
  };
  for (const [replaced, old] of set.sentinels.entries()) {
    track(await startSentinel({}, set.name, master, undefined), (one) => one.stop());
    const youngest = set.sentinels.at(-1)!;
    await eventually(
      async () => expect((await youngest.knows(set.name)).sentinels).toBe(3 + replaced),
      FAILOVER,
    );
    await reconnected();
    await old.process.kill();
  }
  await reconnected();
  await watched.store.save('v1');
  await watched.changes.next(brings('v1'));
});
