import { expect, it } from 'vitest';

import { RedisCredentialDirectory } from '../../src/index.js';
import { HelperNames } from '../../src/redis/commands/helper-names.js';
import { FAST, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

it('a tombstone is kept where its slot is going, so that no re-authentication undoes the clear', async () => {
  const [first, second] = await world.keys();
  const { key, server: from } = first!;
  const store = world.open(key);
  await store.save('x');
  const move = world.cluster.moveOf(world.cluster.slotOf(key), from, second!.server);
  await move.open();
  expect(await store.clear()).toBe(true);
  await move.moveKeys();
  await move.close();
  await world.cluster.settled();
  const tombstone = new HelperNames('credstream', '').cleared(key);
  expect(await second!.server.admin.exists(tombstone)).toBe(1);
});

it('a directory lists and clears keys on their way to a server that is no master yet', async () => {
  const { server: from, key } = (await world.keys())[0]!;
  const directory = new RedisCredentialDirectory<string>(world.client(), {
    prefix: `{${key}}:`,
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
    ...FAST,
  });
  world.track(directory, () => directory.close());
  const ids = Array.from({ length: 20 }, (_, index) => `id${String(index)}`);
  for (const id of ids) await directory.save(id, 'x');
  const joined = await world.cluster.addMaster();
  const move = world.cluster.moveOf(world.cluster.slotOf(key), from, joined);
  await move.open();
  await move.moveKeys(ids.slice(0, 10).map((id) => `{${key}}:${id}`));
  const listed: string[] = [];
  for await (const id of directory.ids()) listed.push(id);
  expect(listed.sort()).toEqual([...ids].sort());
  expect(await directory.clearAll()).toMatchObject({ cleared: 20, failed: 0 });
  await move.moveKeys();
  await move.close();
  await world.cluster.settled();
  expect(await directory.load('id3')).toBeUndefined();
});
