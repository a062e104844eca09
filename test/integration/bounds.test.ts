import { describe, expect, it } from 'vitest';

import { uniquePrefix } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { brings, bytesOf, useWorld } from './world.js';

const world = useWorld();

const SETTINGS = { heartbeatMs: 1_000, replyTimeoutMs: 2_000, pollMs: 500, probeMs: 500 };
const SWEEP_MS = 3_000;
const KEYS = 10;

/** Watches many keys as a user with these rights, until the first one shows the bound in the mode `keyspace`. */
async function expectBound(
  rules: (prefix: string) => string,
  maxLagMs: number,
  sweepMs?: number,
): Promise<void> {
  const prefix = uniquePrefix();
  const client = (await makeUser(world, rules(prefix))).connect();
  const [first] = await Promise.all(
    Array.from({ length: KEYS }, (_, index) =>
      world.watch(client, { ...SETTINGS, sweepMs, key: `${prefix}${index}` }),
    ),
  );
  await world.connect().set(first!.key, bytesOf('a'));
  await first!.changes.next(brings('a'));
  await eventually(() => {
    expect(first!.store.status).toMatchObject({ notifications: 'keyspace', maxLagMs });
  });
}

describe('the bound of many credentials with keyspace notifications', () => {
  it('ends with the sweep', async () => {
    await expectBound(() => '+@all ~* &*', SWEEP_MS + 1_000 + 2_000, SWEEP_MS);
  });

  it('ends with the sweep that another store on the client asks for', async () => {
    const prefix = uniquePrefix();
    const client = (await makeUser(world, '+@all ~* &*')).connect();
    const open = (key: string, sweepMs?: number) =>
      world.watch(client, { ...SETTINGS, ...(sweepMs !== undefined && { sweepMs }), key });
    const all = await Promise.all(
      Array.from({ length: KEYS - 1 }, (_, index) => open(`${prefix}${index}`)),
    );
    const first = all[0]!.store;
    await eventually(() => {
      expect(first.status).toMatchObject({ notifications: 'keyspace', maxLagMs: 9_000 + 2_000 });
    });
    await open(`${prefix}last`, SWEEP_MS);
    await eventually(() => expect(first.status.maxLagMs).toBe(SWEEP_MS + 1_000 + 2_000));
  });

  it('is a whole round of heartbeats, also for a user who may not probe', async () => {
    const rules = (prefix: string): string =>
      `+@all ~${prefix}* resetchannels &__keyspace@0__:${prefix}* &credstream:0:${prefix}*`;
    await expectBound(rules, KEYS * 1_000 + 2_000);
  });
});

describe('the bound without keyspace notifications', () => {
  it('follows the options of the other stores on the client, also those that watch nothing', async () => {
    const rules = '+@all ~* resetchannels &credstream:0:*';
    const client = (await makeUser(world, rules)).connect();
    const { store } = await world.watch(client, SETTINGS);
    const bound = async (maxLagMs: number): Promise<void> => {
      await eventually(() => {
        expect(store.status).toMatchObject({ notifications: 'announcements', maxLagMs });
      });
    };
    await bound(500 + 2_000);
    const hasty = world.store(client, { ...SETTINGS, pollMs: 100 });
    await bound(100 + 2_000);
    await hasty.close();
    await bound(500 + 2_000);
  });
});
