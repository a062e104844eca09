import { setTimeout as pause } from 'node:timers/promises';

import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

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

describe('a flood of small messages', () => {
  const FORGED = {
    announcements: { channel: `credstream:0:${KEY}`, text: '{"v":1,"kind":"saved"}' },
    notifications: { channel: `__keyspace@0__:${KEY}`, text: 'set' },
  };

  /** Sends several times as many messages as the store takes, until `left` resolves. */
  async function flood(
    publisher: Redis,
    { channel, text }: { channel: string; text: string },
    left: Promise<unknown>,
  ): Promise<void> {
    const state = { on: true };
    const stop = (): void => void (state.on = false);
    void left.then(stop, stop);
    while (state.on) {
      const pipeline = publisher.pipeline();
      for (let count = 0; count < 400; count += 1) pipeline.publish(channel, text);
      await Promise.all([pipeline.exec(), pause(50)]);
    }
    await left;
  }

  const listeners = async (admin: Redis, channel: string): Promise<number> =>
    ((await admin.pubsub('NUMSUB', channel)) as [string, number])[1];

  it.each([
    ['announcements', 'keyspace'],
    ['notifications', 'announcements'],
  ] as const)(
    'makes the store leave the channel of the %s, see changes all the same, and come back',
    async (kind, mode) => {
      const server = await startNotifying();
      const admin = connect(server);
      await admin.set(KEY, 'v0');
      const { store, changes, statuses } = await watch(server, {
        heartbeatMs: 600_000,
        pollMs: 600_000,
        probeMs: 3_000,
        replyTimeoutMs: 20_000,
      });
      await eventually(() => expect(store.status.notifications).toBe('keyspace'));
      const { channel } = FORGED[kind];
      const left = eventually(
        async () => {
          expect(await listeners(admin, channel)).toBe(0);
          expect(store.status.notifications).toBe(mode);
        },
        { timeoutMs: 30_000 },
      );
      await flood(connect(server), FORGED[kind], left);
      await admin.set(KEY, 'v1');
      expect(say(await expectWithin(1_000, () => changes.next()))).toBe('saved v1');
      await eventually(async () => {
        expect(await listeners(admin, channel)).toBe(1);
        expect(store.status.notifications).toBe('keyspace');
      });
      await admin.set(KEY, 'v2');
      expect(say(await expectWithin(1_000, () => changes.next()))).toBe('saved v2');
      expect(statuses.values.filter(({ link }) => link === 'reconnecting')).toEqual([]);
    },
  );
});
