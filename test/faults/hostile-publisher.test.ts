import { setTimeout as pause } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { expectWithin } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';
import { isLive, KEY, say, useFaults } from './support/faults.js';

const { connect, startNotifying, watch } = useFaults();

/** Redis ends a subscriber that is behind by 32 MB. */
const TOO_LARGE = Buffer.alloc(40_000_000, 'x');

it('messages that end the subscribed connection again and again delay a change by less than a second', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v0');
  const rare = { heartbeatMs: 5_000, probeMs: 60_000, pollMs: 5_000, replyTimeoutMs: 2_000 };
  const { store, changes, statuses } = await watch(server, rare);
  const publisher = connect(server);
  const flood = { on: true };
  const flooding = (async () => {
    while (flood.on)
      await Promise.all([publisher.publish(`credstream:0:${KEY}`, TOO_LARGE), pause(140)]);
  })();
  await statuses.next((status) => isLive(status) && status.notifications === 'polling', 20_000);
  expect(store.status.maxLagMs).toBe(500 + 2_000);
  for (const value of ['v1', 'v2', 'v3']) {
    await admin.set(KEY, value);
    expect(say(await expectWithin(1_000, () => changes.next()))).toBe(`saved ${value}`);
  }
  await admin.del(KEY);
  expect(say(await expectWithin(1_000, () => changes.next()))).toBe('cleared v3');
  expect(store.current).toBeUndefined();
  flood.on = false;
  await flooding;
  await eventually(() => {
    expect(store.status).toMatchObject({ link: 'live', notifications: 'keyspace' });
  });
});
