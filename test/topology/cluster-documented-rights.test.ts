import { expect, it } from 'vitest';

import { Reauthenticator } from 'credstream';

import { both } from '../support/both.js';
import { readText } from '../docs/repository.js';
import type { ClusterServer } from '../support/redis-cluster/index.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { brings, isLive, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

const text = await readText('docs/reference/security.md');

/** The rule that the documents print for a user, with what they say of a cluster. */
function ruleOf(user: string): string[] {
  const [, rule = ''] = new RegExp(`^ACL SETUSER ${user} (.+)$`, 'm').exec(text) ?? [];
  const [, more = ''] = /every user needs `([^`]+)` as well/.exec(text) ?? [];
  const epoch = [...text.matchAll(/`(~credstream:epoch\S*)`/g)].map(([, pattern]) => pattern!);
  expect(epoch).toEqual(['~credstream:epoch:*', '~credstream:epoch']);
  return [
    ...rule.replace(/~credstream:epoch(?= )/, '~credstream:epoch:*').split(' '),
    ...more.split(' '),
  ];
}

const allow = async (user: string, ...rule: string[]): Promise<void> => {
  for (const { admin } of world.cluster.servers)
    await admin.call('ACL', 'SETUSER', user, ...rulesFor(await abilitiesOf(admin), rule));
};

const clientOf = (username: string) =>
  world.client({ redisOptions: { username, password: 'password' } });

it('the rights in the documents are enough in a cluster, also while a slot moves', async () => {
  await allow('app-both', ...ruleOf('app-both'));
  const client = clientOf('app-both');
  const [from, to] = world.cluster.servers as [ClusterServer, ClusterServer];
  const key = await world.cluster.keyOn(from, 'app:one');
  const one = await world.watch(key, {}, client);
  const other = await world.watch(await world.cluster.keyOn(from, 'app:other'), {}, client);
  await eventually(() => one.store.status.notifications === 'keyspace');
  await one.store.save('a');
  // Two keys, so there is a key for the loss of data.
  await eventually(async () => (await from.admin.keys('credstream:epoch:*')).length === 1);
  const move = world.cluster.moveOf(world.cluster.slotOf(key), from, to);
  await move.open();
  await move.moveKeys();
  expect(await one.store.load()).toBe('a');
  await one.store.save('b');
  await one.store.update((value) => `${value!}c`);
  await move.close();
  await world.cluster.settled();
  await one.changes.next(brings('bc'));
  await other.store.save('d');
  await other.changes.next(brings('d'));
  for (const { admin } of world.cluster.servers) {
    const log = (await admin.call('ACL', 'LOG')) as string[][];
    const refused = new Set(log.map((entry) => entry[entry.indexOf('object') + 1]));
    // For the names in CLIENT LIST only; and a refusal proves the link alive.
    expect([...refused].filter((one) => one !== 'client|setname' && one !== 'ping')).toEqual([]);
  }
});

it('the rights of a namespace in the documents are enough for its application in a cluster, which leaves nothing outside of it', async () => {
  const admins = world.cluster.servers.map(({ admin }) => admin);
  await Promise.all(
    admins.flatMap((admin) => [admin.flushall(), admin.call('ACL', 'LOG', 'RESET')]),
  );
  await allow('orders', ...ruleOf('orders'));
  const client = clientOf('orders');
  const watched = [];
  for (const server of [...world.cluster.servers, ...world.cluster.servers]) {
    const key = await world.cluster.keyOn(server, `tokens:orders:${String(watched.length)}:`);
    watched.push(await world.watch(key, { namespace: 'orders' }, client));
  }
  for (const { store, changes } of watched) {
    await eventually(() => store.status.notifications === 'keyspace');
    const auth = new Reauthenticator<string>(
      store,
      both(() => 'login'),
    );
    expect(await auth.credentials()).toBe('login');
    await auth.close();
    await store.update((value) => `${value!}, used`);
    expect(await changes.next(brings('login, used'))).toMatchObject({ origin: 'self' });
    expect(await store.clear({ onlyIf: store.current! })).toBe(true);
  }
  const keys = async () => (await Promise.all(admins.map((admin) => admin.keys('*')))).flat();
  await eventually(async () => {
    const kinds = (await keys()).map((key) => key.replace(/:\{.*/, '')).sort();
    expect(new Set(kinds)).toEqual(new Set(['orders:attempt', 'orders:cleared', 'orders:epoch']));
    expect(kinds.filter((kind) => kind === 'orders:epoch')).toHaveLength(admins.length);
  });
  for (const admin of admins) {
    const log = (await admin.call('ACL', 'LOG')) as string[][];
    const refused = new Set(log.map((entry) => entry[entry.indexOf('object') + 1]));
    expect([...refused].filter((one) => one !== 'client|setname' && one !== 'ping')).toEqual([]);
  }
});

it('a store without CLUSTER SLOTS is unauthorized until the right is granted', async () => {
  await allow('app-watcher', ...ruleOf('app-watcher'), '-cluster|slots');
  const store = world.open('app:token', {}, clientOf('app-watcher'));
  await expect(store.ready({ timeoutMs: 20_000 })).rejects.toMatchObject({ reply: 'NOPERM' });
  expect(store.status.link).toBe('unauthorized');
  await allow('app-watcher', '+cluster|slots');
  await eventually(() => isLive(store.status));
});
