import { setImmediate as nextTurn } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { useCleanup } from '../../support/cleanup.js';
import { isAlive } from '../../support/guarded-process.js';
import {
  type ClusterOptions,
  type RedisCluster,
  startRedisCluster,
} from '../../support/redis-cluster/index.js';
import { type SentinelSet, startSentinelSet } from '../../support/redis-sentinel/index.js';
import { findRedisProgram } from '../../support/redis-server/index.js';
import { disconnect } from '../../support/redis-clients.js';
import { eventually } from '../../support/wait.js';

const { track } = useCleanup();

async function startCluster(options?: ClusterOptions): Promise<RedisCluster> {
  return track(await startRedisCluster(options), (cluster) => cluster.stop());
}

async function startSentinels(): Promise<SentinelSet> {
  return track(await startSentinelSet(), (set) => set.stop());
}

it('a cluster survives the loss of masters, and moves slots under a client', async () => {
  const cluster = await startCluster({ config: { 'notify-keyspace-events': 'KEA' } });
  expect(await cluster.masters()).toHaveLength(3);
  const client = track(cluster.client(), (one) => one.disconnect());
  await client.set('a', '1');
  const killed = await cluster.ownerOf('a');
  const [replica] = await cluster.replicasOf(killed);
  await eventually(() => replica!.follows(killed));

  await killed.process.kill();
  expect(await cluster.takeover(killed, 'a')).toBe(replica);
  expect(await eventually(() => client.get('a'))).toBe('1');

  await killed.process.restart();
  await cluster.settled();
  await eventually(() => killed.follows(replica!));
  await cluster.failover(killed);
  expect(await cluster.ownerOf('a')).toBe(killed);

  const added = await cluster.addMaster();
  const move = cluster.moveOf(cluster.slotOf('a'), killed, added);
  await move.open();
  await move.moveKeys(['a']);
  await expect(killed.admin.get('a')).rejects.toThrow(/^ASK /);
  expect(await client.get('a')).toBe('1');
  await move.close();
  await cluster.settled();
  expect(await cluster.ownerOf('a')).toBe(added);

  await cluster.removeMaster(added);
  expect(await cluster.masters()).toHaveLength(3);
  expect(await client.get('a')).toBe('1');
  expect(isAlive(killed.process.pid!)).toBe(true);
});

it('a cluster can cut one client off from one master', async () => {
  const cluster = await startCluster({ replicasPerMaster: 0 });
  const proxies = track(await cluster.natMapThroughProxies(), (one) => one.close());
  const options = { redisOptions: { commandTimeout: 200 }, retryDelayOnFailover: 0 };
  const client = track(cluster.clientThrough(proxies, options), (one) => one.disconnect());
  const [cut, other] = await cluster.masters();
  const [lost, kept] = [await cluster.keyOn(cut!), await cluster.keyOn(other!)];
  await client.set(lost, '1');
  await client.set(kept, '2');

  proxies.cut(cut!);
  await expect(client.get(lost)).rejects.toThrow();
  expect(await client.get(kept)).toBe('2');
  expect(await cut!.admin.get(lost)).toBe('1');
  await proxies.heal(cut!);
  expect(await eventually(() => client.get(lost))).toBe('1');
});

it('clients of a cluster leave no rejection behind where ioredis drops a promise', async () => {
  const rejections: unknown[] = [];
  const record = (reason: unknown): number => rejections.push(reason);
  process.on('unhandledRejection', record);
  track(record, () => process.off('unhandledRejection', record));
  const cluster = await startCluster({ masters: 2, replicasPerMaster: 0 });
  const proxies = track(await cluster.natMapThroughProxies(), (one) => one.close());
  const options = { maxRedirections: 2, retryDelayOnFailover: 0 };
  const client = track(cluster.clientThrough(proxies, options), (one) => one.disconnect());
  await client.set('a', '1');
  const owner = await cluster.ownerOf('a');
  const [target] = (await cluster.masters()).filter((server) => server !== owner);
  const move = cluster.moveOf(cluster.slotOf('a'), owner, target!);
  await move.open();
  await move.moveKeys(['a']);

  proxies.cut(target!, 'refused');
  await expect(client.get('a')).rejects.toThrow();
  // Node looks for unhandled rejections when all reactions to promises have run.
  await nextTurn();
  expect(rejections).toEqual([]);
});

it('a Sentinel set replaces a master, also one that hangs and comes back', async () => {
  const set = await startSentinels();
  const client = track(set.client(), disconnect);
  await client.set('a', '1');
  const first = await set.settled();
  await set.replicated(first);

  const second = await set.failover();
  expect(second).not.toBe(first);
  await set.settled();
  await second.process.suspend();
  const third = await set.waitForMaster(second);
  await second.process.resume();
  expect(await second.role()).toBe('master');
  expect(await eventually(() => client.get('a'))).toBe('1');
  expect(await set.settled()).toBe(third);
  expect(await second.role()).toBe('slave');
});

it('a missing program is named in one line with the way to install it', async () => {
  const failure = await findRedisProgram({ REDIS_SERVER: '/nowhere/redis-server' }).catch(String);
  expect(failure).toMatch(/^Error: no redis-server to form a cluster.*\/nowhere\/redis-server.*$/);
});
