import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { brings, bytesOf, useWorld } from './world.js';

// Without notifications, so that what a foreign client writes is seen by reading and by nothing else.
const world = useWorld();

const PERIOD_MS = 50;
const ROUND_MS = 10;
const NEVER_MS = 600_000;
/** Time enough for one read. */
const ROUNDS = PERIOD_MS / ROUND_MS;

const kinds = [
  { kind: 'polling', own: { pollMs: PERIOD_MS, heartbeatMs: NEVER_MS } },
  { kind: 'the heartbeat', own: { pollMs: NEVER_MS, heartbeatMs: PERIOD_MS } },
] as const;

const passers = [
  { who: 'with default options', others: {} },
  {
    who: 'that ask for more often, but never stay so long',
    others: { pollMs: 2 * ROUND_MS, heartbeatMs: 2 * ROUND_MS },
  },
] as const;

it.each(kinds.flatMap((kind) => passers.map((passer) => ({ ...kind, ...passer }))))(
  '$kind of a store is not delayed by stores $who that open and close on its client',
  async ({ own, others }) => {
    const admin = world.connect();
    await admin.config('SET', 'notify-keyspace-events', '');
    const client = world.connect();
    // Time passes only between rounds, however long the server takes.
    const clock = new VirtualClock();
    const { store, key, changes } = await world.watch(client, { ...own, clock });
    expect(store.status).toMatchObject({ link: 'live', notifications: 'announcements' });

    await admin.set(key, bytesOf('foreign'));
    for (let round = 0; round < ROUNDS; round += 1) {
      const passing = world.store(client, { ...others, clock });
      await passing.ready();
      await passing.close();
      await clock.advance(ROUND_MS);
    }
    // The clock stands still from here on: a timer that has not fired never will.
    await changes.next(brings('foreign'));
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
  },
);
