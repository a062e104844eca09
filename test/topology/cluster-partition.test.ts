import { afterEach, describe, expect, it } from 'vitest';

import { RedisCredentialDirectory, UnavailableError } from '../../src/index.js';
import type { ClusterServer } from '../support/redis-cluster/index.js';
import { expectWithin } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { brings, FAST, isLive, shown, useCluster } from './support/cluster-world.js';

const world = useCluster({ requireFullCoverage: false });

/** How soon a dead link is noticed: a heartbeat, a deadline, and what comes after them. */
const BOUND_MS = FAST.heartbeatMs + FAST.replyTimeoutMs + 500;
/** So long that a busy machine does not look like a second master that is cut off. */
const PATIENT = { replyTimeoutMs: 1_500 } as const;

describe.each(['silently', 'refused'] as const)(
  'a client that is cut off from one master, %s',
  (how) => {
    it('knows nothing of the credentials there, and all of the others', async () => {
      const proxies = world.track(await world.cluster.natMapThroughProxies(), (one) => one.close());
      const client = world.track(
        world.cluster.clientThrough(proxies, { lazyConnect: true }),
        (one) => {
          one.disconnect();
        },
      );
      const [first, second, third] = await world.keys();
      const away = await world.watch(first!.key, PATIENT, client);
      const there = [
        await world.watch(second!.key, PATIENT, client),
        await world.watch(third!.key, PATIENT, client),
      ];
      for (const { store } of [away, ...there]) await store.save('before');
      const seen = there.map(({ statuses }) => statuses.values.length);
      proxies.cut(first!.server, how);
      const status = await expectWithin(FAST.heartbeatMs + PATIENT.replyTimeoutMs + 500, () =>
        away.statuses.next(({ link }) => link === 'reconnecting'),
      );
      expect(status).toMatchObject({ freshness: 'stale' });
      await expect(away.store.load()).rejects.toBeInstanceOf(UnavailableError);
      await first!.server.admin.set(first!.key, 'unseen');
      for (const { store, changes } of there) {
        const before = performance.now();
        await store.save('meanwhile');
        await changes.next(brings('meanwhile'));
        // Nobody waits for the one that is away.
        expect(performance.now() - before).toBeLessThan(PATIENT.replyTimeoutMs);
      }
      await world.reads();
      for (const [index, { statuses }] of there.entries())
        expect(statuses.values.slice(seen[index]).filter((one) => !isLive(one))).toEqual([]);
      expect(away.store.current?.credentials).toBe('before');
      await proxies.heal(first!.server);
      const change = await away.changes.next(brings('unseen'), 30_000);
      expect(change).toMatchObject({ source: 'resync' });
      await eventually(() => isLive(away.store.status));
      await away.store.save('after');
      await away.changes.next(brings('after'));
      expect(shown(away)).toEqual(['before', 'unseen', 'after']);
      for (const one of there) expect(shown(one)).toEqual(['before', 'meanwhile']);
    });

    it('with a directory still receives the changes of the others', async () => {
      const proxies = world.track(await world.cluster.natMapThroughProxies(), (one) => one.close());
      const client = world.track(
        world.cluster.clientThrough(proxies, { lazyConnect: true }),
        (one) => {
          one.disconnect();
        },
      );
      const prefix = `${how}:`;
      const directory = world.track(
        new RedisCredentialDirectory<string>(client, { prefix, ...FAST, ...PATIENT }),
        (one) => one.close(),
      );
      const servers = await world.cluster.masters();
      const [away, near, far] = await Promise.all(
        servers.map(async (server) => ({ server, id: await idOn(server, prefix) })),
      );
      const stores = [away!, near!, far!].map(({ id }) => directory.store(id));
      const changes = collect(directory.changes$);
      await Promise.all([directory.ready(), ...stores.map((store) => store.ready())]);
      for (const { id } of [away!, near!, far!]) {
        await directory.save(id, 'before');
        await changes.next((change) => change.id === id);
      }
      proxies.cut(away!.server, how);
      await eventually(() => stores[0]!.status.link === 'reconnecting');
      for (const { server, id } of [near!, far!]) {
        await server.admin.set(`${prefix}${id}`, '"foreign"');
        expect(await changes.next((change) => change.id === id)).toMatchObject({ type: 'saved' });
        await directory.clear(id);
        await changes.next((change) => change.id === id && change.type === 'cleared');
      }
      expect(stores.slice(1).map(({ status }) => status.link)).toEqual(['live', 'live']);
      expect(directory.status.link).not.toBe('live');
      await away!.server.admin.set(`${prefix}${away!.id}`, '"unseen"');
      await proxies.heal(away!.server);
      await changes.next((change) => change.id === away!.id, 30_000);
      await eventually(() => {
        expect(directory.status.link).toBe('live');
        expect(stores[0]!.current?.credentials).toBe('unseen');
      });
      expect(changes.values.map(({ id, type }) => `${id} ${type}`)).toEqual([
        ...[away!, near!, far!].map(({ id }) => `${id} saved`),
        ...[near!, far!].flatMap(({ id }) => [`${id} saved`, `${id} cleared`]),
        `${away!.id} saved`,
      ]);
    });
  },
);

describe('a slot without an owner', () => {
  let assign: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await assign?.();
  });

  it('is reported for its keys alone, until it has an owner', async () => {
    const [first, second] = await world.keys();
    const { key, server } = first!;
    const bare = await world.watch(key);
    const served = await world.watch(second!.key);
    await bare.store.save('before');
    await served.store.save('before');
    const slot = world.cluster.slotOf(key);
    assign = async () => {
      assign = undefined;
      await server.admin.call('CLUSTER', 'ADDSLOTS', slot);
      await world.cluster.settled();
    };
    const masters = await world.cluster.masters();
    for (const { admin } of masters) await admin.call('CLUSTER', 'DELSLOTS', slot);
    const status = await expectWithin(BOUND_MS, () =>
      bare.statuses.next(({ link }) => link === 'reconnecting'),
    );
    expect(status).toMatchObject({ freshness: 'stale' });
    const uncovered = expect.stringMatching(/slot/) as string;
    await eventually(() => {
      expect(bare.store.status.error).toBeInstanceOf(UnavailableError);
      expect(bare.store.status.error).toMatchObject({ message: uncovered });
    });
    for (const refused of [bare.store.load(), bare.store.save('x'), bare.store.clear()])
      await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE', message: uncovered });
    const late = world.open(key);
    await expect(late.save('x')).rejects.toMatchObject({ code: 'UNAVAILABLE', message: uncovered });
    await served.store.save('unaffected');
    expect(served.statuses.values.filter(({ link }) => link === 'reconnecting')).toEqual([]);
    await assign();
    await bare.statuses.next(isLive, 30_000);
    await late.save('after');
    await bare.changes.next(brings('after'));
    expect(bare.changes.values.at(-1)).toMatchObject({ type: 'saved' });
    expect(shown(served)).toEqual(['before', 'unaffected']);
  });

  it('is reported to a store that starts to watch it', async () => {
    const { key, server } = (await world.keys())[0]!;
    const slot = world.cluster.slotOf(key);
    assign = async () => {
      assign = undefined;
      await server.admin.call('CLUSTER', 'ADDSLOTS', slot);
      await world.cluster.settled();
    };
    for (const { admin } of await world.cluster.masters())
      await admin.call('CLUSTER', 'DELSLOTS', slot);
    const store = world.open(key);
    const statuses = collect(store.status$);
    const changes = collect(store.changes$);
    const status = await statuses.next(({ error }) => error !== undefined);
    expect(status).toMatchObject({ link: 'connecting', error: { code: 'UNAVAILABLE' } });
    expect(status.error?.message).toMatch(/slot/);
    await assign();
    await statuses.next(isLive, 30_000);
    await server.admin.set(key, 'there');
    await changes.next(brings('there'));
  });
});

describe('save with replicas', () => {
  it('reaches the replica of each master', async () => {
    for (const { key, server } of await world.keys()) {
      const store = world.open(key);
      const receipt = await store.save('copied', { replicas: 1, replicaTimeoutMs: 5_000 });
      expect(receipt).toMatchObject({ replicas: 1 });
      const [replica] = await world.cluster.replicasOf(server);
      const copy = replica!.admin.duplicate();
      await copy.call('READONLY');
      expect(await copy.get(key)).toBe('copied');
      copy.disconnect();
    }
  });
});

/** An id whose key a master has. */
async function idOn(server: ClusterServer, prefix: string): Promise<string> {
  return (await world.cluster.keyOn(server, `${prefix}id`)).slice(prefix.length);
}
