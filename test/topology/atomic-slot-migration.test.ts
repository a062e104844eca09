import { expect, it } from 'vitest';

import { both } from '../support/both.js';
import { Reauthenticator, RedisCredentialDirectory, UnavailableError } from '../../src/index.js';
import {
  type AtomicWay,
  type ClusterServer,
  moveAtomically,
} from '../support/redis-cluster/index.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { collect, eventually } from '../support/wait.js';
import { brings, FAST, shown, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

/** A key, its owner, and another master. */
async function oneKey(): Promise<{ key: string; from: ClusterServer; to: ClusterServer }> {
  const [first, second] = await world.keys();
  return { key: first!.key, from: first!.server, to: second!.server };
}

/** Moves the slot of a key in one step. */
async function move(key: string, from: ClusterServer, to: ClusterServer): Promise<AtomicWay> {
  const way = await moveAtomically(world.cluster.slotOf(key), from, to);
  await world.cluster.settled();
  return way;
}

it('a slot moves in one step by the command that the server has, else by hand', async () => {
  const { key, from, to } = await oneKey();
  await from.admin.set(key, 'x', 'PX', 100_000);
  const { atomicMove } = await abilitiesOf(from.admin);
  expect(await move(key, from, to)).toBe(atomicMove ?? 'emulated');
  expect(await to.admin.get(key)).toBe('x');
  expect(await to.admin.pttl(key)).toBeGreaterThan(0);
  expect(await from.admin.cluster('COUNTKEYSINSLOT', world.cluster.slotOf(key))).toBe(0);
});

it('a store and a directory emit nothing while their slot moves in one step, and see what follows', async () => {
  const { key, from, to } = await oneKey();
  const one = await world.watch(key);
  await one.store.save('one', { ttlSeconds: 1_000 });
  const prefix = `{${key}}:d:`;
  const directory = world.track(
    new RedisCredentialDirectory<string>(world.client(), { prefix, ...FAST }),
    (opened) => opened.close(),
  );
  const names = Array.from({ length: 200 }, (_, index) => `id${String(index)}`);
  await Promise.all(names.map((name) => directory.save(name, 'x', { ttlSeconds: 500 })));
  await directory.ready({ timeoutMs: 20_000 });
  const changes = collect(directory.changes$);

  await move(key, from, to);
  await world.reads();
  const listed: string[] = [];
  for await (const id of directory.ids()) listed.push(id);
  expect(listed.sort()).toEqual(names.sort());
  expect(shown(one)).toEqual(['one']);
  expect(changes.values).toEqual([]);

  await to.admin.set(key, 'foreign');
  await one.changes.next(brings('foreign'));
  await to.admin.set(`${prefix}id3`, '"y"');
  expect(await changes.next()).toMatchObject({ id: 'id3', type: 'saved' });
});

it('no write is lost and none is shown twice while a slot moves back and forth in one step', async () => {
  const { key, from, to } = await oneKey();
  const one = await world.watch(key);
  const store = world.open(key);
  const writer = world.writer((text) =>
    /[49]$/.test(text) ? store.update(() => text) : store.save(text),
  );
  for (const [here, there] of [
    [from, to],
    [to, from],
    [from, to],
  ] as const) {
    const until = writer.written.length + 8;
    await eventually(() => writer.written.length >= until, { timeoutMs: 20_000 });
    await move(key, here, there);
  }
  await writer.stop();
  // A write that is paused for longer than its deadline may fail; it says so.
  for (const error of writer.failures) expect(error).toBeInstanceOf(UnavailableError);
  await eventually(() => expect(one.store.current?.credentials).toBe(writer.written.at(-1)));
  expect(new Set(one.changes.values.map(({ type }) => type))).toEqual(new Set(['saved']));
  const numbers = shown(one).map(Number);
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
});

it('a re-authentication is made once for all instances while a slot moves in one step', async () => {
  const { key, from, to } = await oneKey();
  let calls = 0;
  const instances = [1, 2, 3].map(() => {
    const reauthenticator = new Reauthenticator(world.open(key), {
      minIntervalMs: 10,
      ...both(() => Promise.resolve(`token ${String((calls += 1))}`)),
    });
    return world.track(reauthenticator, (one) => one.close());
  });
  const agreed = async (token: string): Promise<void> => {
    const opened = instances.map((one) => one.credentials());
    expect(await Promise.all(opened)).toEqual(Array(3).fill(token));
  };
  await agreed('token 1');
  const moving = move(key, from, to);
  for (const number of [2, 3, 4]) {
    const last = await instances[0]!.snapshot();
    for (const one of instances) one.reject(last);
    await eventually(() => agreed(`token ${String(number)}`), { timeoutMs: 20_000 });
  }
  await moving;
  expect(calls).toBe(4);
});
