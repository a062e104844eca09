import { expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { brings, bytesOf, HINTS_ONLY, useWorld } from './world.js';

const world = useWorld();

it('a key whose watcher left and came back during the subscription still gets hints', async () => {
  const client = world.connect();
  await world.watch(client, HINTS_ONLY);
  const { store, key } = await world.watch(client, HINTS_ONLY);
  await store.close();
  const raw = world.connect();

  for (let round = 0; round < 20; round += 1) {
    const again = world.store(client, { ...HINTS_ONLY, key });
    const leaving = again.changes$.subscribe();
    leaving.unsubscribe();
    const seen = await (async () => {
      const changes: string[] = [];
      again.on('saved', ({ credentials }) => changes.push(credentials.token));
      await again.ready();
      return changes;
    })();
    await raw.set(key, bytesOf(String(round)));
    await eventually(() => {
      expect(seen).toContain(String(round));
    });
    await again.close();
  }
});

it('a key whose watcher left before the subscription leaves no subscription behind', async () => {
  const client = world.connect();
  const { changes, key } = await world.watch(client, HINTS_ONLY);
  const raw = world.connect();
  const passing = world.store(client, HINTS_ONLY);

  const subscription = passing.changes$.subscribe();
  // One turn, so that the SUBSCRIBE is sent but not yet answered.
  await new Promise((resolve) => setImmediate(resolve));
  subscription.unsubscribe();

  await eventually(async () => {
    const channels = (await raw.pubsub('CHANNELS', `*${passing.id}`)) as string[];
    expect(channels).toEqual([]);
  });
  await raw.set(key, bytesOf('after'));
  await changes.next(brings('after'));
});
