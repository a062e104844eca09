import { expect, describe, it } from 'vitest';

import { both } from '../support/both.js';
import { derive, Reauthenticator, UnavailableError } from '../../src/index.js';
import { eventually } from '../support/wait.js';
import { brings, isLive, listen, useCluster } from './support/cluster-world.js';

const world = useCluster();

describe('a store in a cluster', () => {
  it('is live on every master, and receives the changes of its key by any client', async () => {
    for (const { server, key } of await world.keys()) {
      const one = await world.watch(key);
      const other = world.open(key);
      await eventually(() => one.store.status.notifications === 'keyspace');
      await other.save('saved', { ttlSeconds: 100 });
      expect(await one.changes.next(brings('saved'))).toMatchObject({
        type: 'saved',
        source: 'live',
      });
      await server.admin.set(key, 'foreign', 'KEEPTTL');
      expect(await one.changes.next(brings('foreign'))).toMatchObject({ origin: 'out-of-band' });
      await server.admin.pexpire(key, 50_000);
      await one.changes.next(({ type }) => type === 'renewed');
      await other.update((text) => `${text ?? ''} updated`);
      await one.changes.next(brings('foreign updated'));
      const snapshot = (await other.read())!;
      await other.save('exchanged', { onlyIf: snapshot });
      await expect(other.save('late', { onlyIf: snapshot })).rejects.toMatchObject({
        code: 'CONFLICT',
      });
      expect(await other.clear({ reason: 'logout' })).toBe(true);
      expect(await one.changes.next(({ type }) => type === 'cleared')).toMatchObject({
        reason: 'logout',
      });
      await other.save('short', { ttlSeconds: 1 });
      await one.changes.next(({ type }) => type === 'expired');
    }
  });

  it.each(['t:{42}:x', 'a}b', 'foo{}bar', '{a}{b}', '}{', '{', 'plain', 'ünï{cödé}'])(
    'works with any key, in the slot of which its helper keys are: %s',
    async (key) => {
      const { store, changes } = await world.watch(key);
      expect(await store.save('one', { onlyIf: 'absent' })).toMatchObject({ announced: true });
      await store.update((text) => `${text ?? ''} two`);
      await changes.next(brings('one two'));
      await using reauthenticator = new Reauthenticator(store, {
        ...both(() => Promise.resolve('three')),
      });
      reauthenticator.reject(await reauthenticator.snapshot());
      await changes.next(brings('three'));
      expect(await store.clear({ onlyIf: store.current! })).toBe(true);
    },
  );

  it('emits one change for one announcement, which the bus repeats on every master', async () => {
    const { key } = (await world.keys())[0]!;
    const one = await world.watch(key);
    const other = world.open(key);
    for (let n = 0; n < 20; n += 1) {
      await other.save(String(n));
      await one.changes.next(brings(String(n)));
    }
    expect(one.changes.values).toHaveLength(20);
  });

  it('shares two connections with each master in use, and leaves none behind', async () => {
    const masters = await world.cluster.masters();
    const client = world.client();
    const count = async (): Promise<number[]> =>
      Promise.all(
        masters.map(async ({ admin }) => {
          const list = String(await admin.call('CLIENT', 'LIST'));
          return list.split('\n').filter((line) => line.includes('name=credstream')).length;
        }),
      );
    await eventually(async () => expect(await count()).toEqual([0, 0, 0]));
    const stores = [];
    for (let n = 0; n < 5; n += 1)
      for (const { key } of await world.keys()) stores.push(await world.watch(key, {}, client));
    await Promise.all(stores.map(({ store }) => store.save('x')));
    expect(await count()).toEqual([2, 2, 2]);
    await Promise.all(stores.map(({ store }) => store.close()));
    await eventually(async () => expect(await count()).toEqual([0, 0, 0]));
  });

  it('needs no connection to masters without its keys', async () => {
    const [first, second, third] = await world.keys();
    await world.watch(first!.key);
    const names = async (at: typeof first): Promise<number> =>
      String(await at!.server.admin.call('CLIENT', 'LIST')).split('name=credstream').length - 1;
    expect(await names(first)).toBe(2);
    // One of those that were asked for the topology may still be about to go.
    await eventually(async () => {
      expect((await names(second)) + (await names(third))).toBeLessThanOrEqual(2);
    });
  });

  it('derives values and reads keys that are not watched', async () => {
    for (const { server, key } of await world.keys()) {
      await server.admin.set(key, 'bytes');
      const store = world.open(key);
      expect(await store.load()).toBe('bytes');
      await using client = derive(store, (text) => Promise.resolve(`client of ${text}`));
      expect(await client.get()).toBe('client of bytes');
    }
  });

  it('notices that one master lost its data, and emits only its keys', async () => {
    const client = world.client();
    const keys = await world.keys();
    const watched = [];
    for (const { key } of [...keys, ...(await world.keys())]) {
      const one = await world.watch(key, {}, client);
      await one.store.save('here');
      watched.push(one);
    }
    // Each master is known by its epoch key now.
    await eventually(async () => {
      const epochs = await Promise.all(
        keys.map(({ server }) => server.admin.keys('credstream:epoch*')),
      );
      expect(epochs.map((found) => found.length)).toEqual([1, 1, 1]);
    });
    const lost = keys[1]!.server;
    await lost.admin.call('CONFIG', 'SET', 'notify-keyspace-events', '');
    await lost.admin.flushall();
    for (const { store, changes } of watched) {
      if ((await world.cluster.ownerOf(store.id)) === lost)
        expect(await changes.next(({ type }) => type === 'cleared')).toMatchObject({});
    }
    for (const { store } of watched) {
      const gone = (await world.cluster.ownerOf(store.id)) === lost;
      expect(store.current?.credentials).toBe(gone ? undefined : 'here');
    }
    await lost.admin.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
  });

  it('ignores every forged, misplaced or stray message', async () => {
    const keys = await world.keys();
    const one = await world.watch(keys[0]!.key);
    await one.store.save('real');
    await one.changes.next(brings('real'));
    const { key } = keys[0]!;
    for (const { server } of keys) {
      await server.admin.publish(
        `credstream:0:${key}`,
        JSON.stringify({ kind: 'cleared', instance: 'x' }),
      );
      await server.admin.publish(`__keyspace@0__:${key}`, 'del');
      await server.admin.publish(`__keyspace@0__:${key}`, 'expired');
    }
    await one.store.save('after');
    await one.changes.next(brings('after'));
    expect(one.changes.values.map(({ type }) => type)).toEqual(['saved', 'saved']);
  });

  it('reports the reason while no server can be reached, and closes in time', async () => {
    const nobody = world.client({ natMap: () => ({ host: '127.0.0.1', port: 1 }) });
    const store = world.open('anything', {}, nobody);
    const { statuses } = listen(store);
    await statuses.next(({ error }) => error instanceof UnavailableError);
    expect(store.status.link).toBe('connecting');
    await expect(store.save('x')).rejects.toBeInstanceOf(UnavailableError);
    await store.close();
    expect(store.status.link).toBe('closed');
  });

  it('applies a keyPrefix of the client', async () => {
    const client = world.client({ keyPrefix: 'app:' });
    const { store } = await world.watch('prefixed', {}, client);
    await store.save('x');
    const owner = await world.cluster.ownerOf('app:prefixed');
    expect(await owner.admin.get('app:prefixed')).toBe('x');
  });

  it('polls where a master sends no notifications and announcements are refused', async () => {
    const { server, key } = (await world.keys())[0]!;
    await server.admin.call('CONFIG', 'SET', 'notify-keyspace-events', '');
    const one = await world.watch(key);
    await one.statuses.next((status) => isLive(status) && status.notifications === 'announcements');
    await server.admin.set(key, 'quiet');
    await one.changes.next(brings('quiet'));
    await server.admin.call('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
    await one.statuses.next((status) => status.notifications === 'keyspace');
  });
});
