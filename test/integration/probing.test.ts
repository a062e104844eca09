import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { collect, eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { brings, bytesOf, HINTS_ONLY, ofType, useWorld } from './world.js';

const world = useWorld();

const FLAGS = 'notify-keyspace-events';
const FAST_PROBES = { ...HINTS_ONLY, probeMs: 100 };
/** So long takes a probe that fails. */
const FAILING_PROBES = { ...FAST_PROBES, replyTimeoutMs: 500 };

/** Until so many more probes have begun; the one before has an outcome by then. */
async function moreProbes(admin: Redis, count: number): Promise<void> {
  const writes = async (): Promise<number> =>
    Number(/^cmdstat_set:calls=(\d+)/m.exec(await admin.info('commandstats'))?.[1] ?? 0);
  const before = await writes();
  await eventually(async () => expect(await writes()).toBeGreaterThanOrEqual(before + count));
}

describe.each([
  { flags: 'K$', missing: 'removals' },
  { flags: 'Kg', missing: 'writes' },
])('with the notification flags $flags, and not of $missing,', ({ flags }) => {
  it('notifications are not relied on, and all changes are seen by polling', async () => {
    const admin = world.connect();
    await admin.config('SET', FLAGS, flags);
    const { store, key, changes } = await world.watch(world.connect(), {
      ...FAILING_PROBES,
      pollMs: 50,
    });
    await moreProbes(admin, 2);
    await eventually(() => expect(store.status.notifications).toBe('announcements'));

    await admin.set(key, bytesOf('a'));
    await changes.next(brings('a'));
    await admin.del(key);
    await changes.next(ofType('cleared'));
    await moreProbes(admin, 2);
    // That some notifications were heard does not mean that all are.
    expect(store.status).toMatchObject({ link: 'live', notifications: 'announcements' });
  });

  it('notifications are no longer relied on', async () => {
    const admin = world.connect();
    await admin.config('SET', FLAGS, 'Kg$xe');
    const { store, key, changes } = await world.watch(world.connect(), FAILING_PROBES);
    const statuses = collect(store.status$);
    await statuses.next(({ notifications }) => notifications === 'keyspace');
    await admin.set(key, bytesOf('a'));
    await changes.next(brings('a'));

    await admin.config('SET', FLAGS, flags);
    const status = await statuses.next(({ notifications }) => notifications !== 'keyspace');
    expect(status).toMatchObject({ link: 'live', notifications: 'announcements' });
  });
});

describe.each(['KA', 'Kg$', 'Kg$xe'])('with the notification flags %s', (flags) => {
  it('notifications are relied on', async () => {
    const admin = world.connect();
    await admin.config('SET', FLAGS, flags);
    const { store, key, changes } = await world.watch(world.connect(), FAST_PROBES);
    const statuses = collect(store.status$);
    await statuses.next(({ notifications }) => notifications === 'keyspace');
    await admin.set(key, bytesOf('a'));
    await changes.next(brings('a'));
    await admin.del(key);
    await changes.next(ofType('cleared'));
    await moreProbes(admin, 2);
    expect(store.status).toMatchObject({ link: 'live', notifications: 'keyspace' });
  });
});

describe('a user who may write but not remove the key of the probe', () => {
  it('cannot probe, and relies on the announcements', async () => {
    const admin = world.connect();
    await admin.config('SET', FLAGS, 'KA');
    const user = await makeUser(world, '+@all -del ~* &*');
    const { store, key, changes } = await world.watch(user.connect(), FAILING_PROBES);
    await admin.set(key, bytesOf('a'));
    await changes.next(brings('a'));
    await moreProbes(admin, 2);
    expect(store.status).toMatchObject({ link: 'live', notifications: 'keyspace' });
  });
});
