import { afterEach, describe, expect, it } from 'vitest';

import { both } from '../support/both.js';
import { Reauthenticator, RedisCredentialStore } from '../../src/index.js';
import { noiseMs } from '../support/machine-noise.js';
import { slowness } from '../support/slowness.js';
import { eventually } from '../support/wait.js';
import { brings, FAILOVER, FAST, isLive, shown, useCluster } from './support/cluster-world.js';

/** Brings back what a test took away, so that the next one finds three masters with a replica each. */
async function whole(): Promise<void> {
  const { cluster } = world;
  for (const { process } of cluster.servers) {
    if (process.pid === undefined) await process.restart();
    else await process.resume();
  }
  await cluster.settled();
  await eventually(async () => {
    const masters = await cluster.masters();
    expect(masters).toHaveLength(3);
    for (const master of masters) expect(await cluster.replicasOf(master)).toHaveLength(1);
    for (const server of cluster.servers)
      if (!masters.includes(server))
        expect(await server.admin.call('INFO', 'replication')).toContain('master_link_status:up');
  }, FAILOVER);
}

// Also after a test that failed, or all that follow fail with it; and when all stores are closed: the hook that is named first runs last.
afterEach(whole, 60_000);

const world = useCluster();

describe('the loss of a master', () => {
  it('by a kill while nobody does anything: the store follows, and receives changes at the new one', async () => {
    const [first, second] = await world.keys();
    const lost = first!.server;
    const one = await world.watch(first!.key);
    const other = await world.watch(second!.key);
    await one.store.save('before');
    await other.store.save('unaffected');
    await lost.replicated();
    await lost.process.kill();
    await one.statuses.next(({ link }) => link === 'reconnecting');
    const heir = await world.cluster.takeover(lost, first!.key);
    await one.statuses.next(isLive, FAILOVER.timeoutMs);
    expect(one.store.current?.credentials).toBe('before');
    await heir.admin.set(first!.key, 'foreign');
    await one.changes.next(brings('foreign'));
    await one.store.save('own');
    await one.changes.next(brings('own'));
    expect(shown(one)).toEqual(['before', 'foreign', 'own']);
    expect(shown(other)).toEqual(['unaffected']);
    await eventually(() => isLive(other.store.status), FAILOVER);
  });

  it('by a hang, with a return after a failover: its later messages do not count', async () => {
    const { server: lost, key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    await one.store.save('old');
    await lost.replicated();
    await lost.process.suspend();
    const heir = await world.cluster.takeover(lost, key);
    await one.statuses.next(isLive, FAILOVER.timeoutMs);
    await heir.admin.set(key, 'new');
    await one.changes.next(brings('new'));
    await lost.process.resume();
    // As a split-brained writer would: it is a replica by then, or refuses, or has its write thrown away.
    await lost.admin.set(key, 'split').catch(() => undefined);
    await whole();
    await one.store.save('last');
    await one.changes.next(brings('last'));
    expect(shown(one)).toEqual(['old', 'new', 'last']);
  });

  it('by a failover on purpose, in the midst of writes: no final state is lost, none comes twice', async () => {
    const { server, key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    const store = world.open(key);
    const [replica] = await world.cluster.replicasOf(server);
    const writer = world.writer((text) => store.save(text));
    await eventually(() => shown(one).length > 5);
    await world.cluster.failover(replica!);
    const until = writer.written.length + 20;
    await eventually(() => writer.written.length >= until, FAILOVER);
    await writer.stop();
    const last = writer.written.at(-1);
    await eventually(() => expect(one.store.current?.credentials).toBe(last), FAILOVER);
    expect(new Set(one.changes.values.map(({ type }) => type))).toEqual(new Set(['saved']));
    const numbers = shown(one).map(Number);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  });

  it('with writes that no replica had: the data of the new master wins, as a change', async () => {
    const { server: lost, key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    await one.store.save('kept');
    await lost.replicated();
    const [replica] = await world.cluster.replicasOf(lost);
    await replica!.process.suspend();
    // Else the kernel would hand it over when the replica goes on.
    await lost.admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
    await one.store.save('lost');
    await one.changes.next(brings('lost'));
    await lost.process.kill();
    await replica!.process.resume();
    await world.cluster.takeover(lost, key);
    const change = await one.changes.next(brings('kept'), FAILOVER.timeoutMs);
    expect(change).toMatchObject({ type: 'saved', source: 'resync' });
    expect(shown(one)).toEqual(['kept', 'lost', 'kept']);
  });

  it('an end that passes meanwhile is emitted on time, once', async () => {
    const { server: lost, key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    await one.store.save('short', { ttlSeconds: 2 });
    await lost.replicated();
    await lost.process.kill();
    const change = await one.changes.next(({ type }) => type === 'expired', FAILOVER.timeoutMs);
    expect(change).toMatchObject({ type: 'expired' });
    await world.cluster.takeover(lost, key);
    await one.statuses.next(isLive, FAILOVER.timeoutMs);
    expect(shown(one)).toEqual(['short', 'expired']);
  });

  it('a store closes in time, whatever hangs', async () => {
    const { server, key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    await server.process.suspend();
    const saving = one.store.save('x').catch(() => undefined);
    const before = performance.now();
    await one.store.close();
    expect(performance.now() - before).toBeLessThan(FAST.closeTimeoutMs + noiseMs());
    await saving;
    await server.process.resume();
  });
});

describe('re-authentication', () => {
  it('survives a failover: one call, one commit, every instance has it', async () => {
    const { server: lost, key } = (await world.keys())[0]!;
    let calls = 0;
    const instances = Array.from({ length: 4 }, () => {
      const store = new RedisCredentialStore<{ token: number; until: number }>(world.client(), {
        key,
        expiresAt: ({ until }) => until,
        ...FAST,
      });
      world.track(store, () => store.close());
      const reauthenticator = new Reauthenticator(store, {
        minIntervalMs: 200,
        leaseMs: 2_000 * slowness(),
        ...both(() => {
          calls += 1;
          return Promise.resolve({ token: calls, until: Date.now() + 3_600_000 });
        }),
      });
      return { store, reauthenticator };
    });
    const first = await Promise.all(
      instances.map(({ reauthenticator }) => reauthenticator.snapshot()),
    );
    expect(first.map(({ credentials }) => credentials.token)).toEqual([1, 1, 1, 1]);
    await lost.replicated();
    await lost.process.kill();
    // An instance saw the token refused; nobody can store a new one before a replica has taken over.
    instances[0]!.reauthenticator.reject(first[0]!);
    await world.cluster.takeover(lost, key);
    await eventually(async () => {
      for (const { reauthenticator } of instances)
        expect((await reauthenticator.credentials()).token).toBe(2);
    }, FAILOVER);
    expect(calls).toBe(2);
  });
});
