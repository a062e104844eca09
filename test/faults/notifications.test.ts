import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { abilitiesOf } from '../support/server-abilities.js';
import { countCommands } from '../support/command-counter.js';
import { expectWithin, noiseMs } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';
import {
  FAST,
  isLive,
  isNotLive,
  KEY,
  listen,
  NO_ROUNDS,
  saved,
  say,
  useFaults,
} from './support/faults.js';

const { connect, open, startNotifying, startRedis, watch } = useFaults();

const FLAGS = 'notify-keyspace-events';
/** With one credential the heartbeat alone would see everything. */
const NO_BEAT = { heartbeatMs: 600_000 };
/** A probe that is late for want of a processor is not one that fails. */
const PATIENT = { replyTimeoutMs: 30_000 };

describe('notifications switched off at run time', () => {
  it('are missed within the time between two probes, and polling takes over', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store, changes, statuses } = await watch(server, NO_BEAT);
    expect(store.status.notifications).toBe('keyspace');
    // What was heard before says nothing about now.
    await admin.set(KEY, 'v0');
    await changes.next(saved('v0'));
    await admin.config('SET', FLAGS, '');
    const offAt = performance.now();
    const status = await statuses.next(({ notifications }) => notifications !== 'keyspace');
    expect(performance.now() - offAt).toBeLessThan(FAST.probeMs + FAST.replyTimeoutMs + noiseMs());
    expect(status).toMatchObject({
      link: 'live',
      freshness: 'fresh',
      notifications: 'announcements',
      maxLagMs: FAST.pollMs + FAST.replyTimeoutMs,
    });
    for (const value of ['v1', 'v2', 'v3']) {
      await admin.set(KEY, value);
      await expectWithin(FAST.pollMs + FAST.replyTimeoutMs, () => changes.next(saved(value)));
    }
    await admin.del(KEY);
    // Nobody said why: it has no end, so it was not the end.
    expect(await changes.next()).toMatchObject({ type: 'cleared', origin: 'unknown' });
    expect(store.status.notifications).toBe('announcements');
  });

  it('are relied on again once they arrive, and polling stops', async () => {
    const server = await startRedis();
    const admin = connect(server);
    const { store, changes, statuses } = await watch(server, {
      ...NO_BEAT,
      pollMs: 100,
      // A probe that is late for want of a processor is not one that fails.
      replyTimeoutMs: 2_000,
    });
    expect(store.status.notifications).toBe('announcements');
    await admin.config('SET', FLAGS, 'Kg$xe');
    const status = await statuses.next(({ notifications }) => notifications === 'keyspace');
    expect(status.link).toBe('live');
    // A read may still be on its way.
    const { readCommand } = await abilitiesOf(admin);
    await eventually(async () => {
      const counted = await countCommands(admin, () => moreProbes(admin, 2));
      expect(counted.get(readCommand) ?? 0).toBe(0);
    });
    await admin.set(KEY, 'v1');
    expect(await changes.next()).toMatchObject({ type: 'saved', origin: 'out-of-band' });
  });

  it('are known when `ready()` resolves, so that no write after it is missed', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    for (let round = 0; round < 10; round += 1) {
      const store = open(server, { ...NO_ROUNDS, ...PATIENT, key: `token:${round}` });
      const { changes } = listen(store);
      await store.ready();
      expect(store.status.notifications).toBe('keyspace');
      await admin.set(store.id, 'v1');
      await changes.next(saved('v1'));
    }
  });

  it('are known to be off within a round trip', async () => {
    const server = await startRedis();
    const store = open(server, { ...NO_ROUNDS, ...PATIENT });
    await expectWithin(2_000, () => store.ready());
    expect(store.status.notifications).toBe('announcements');
  });

  it('that come back after a probe has missed them make the store read again', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store, changes, statuses } = await watch(server, { ...NO_BEAT, pollMs: 600_000 });
    await admin.config('SET', FLAGS, '');
    await statuses.next(({ notifications }) => notifications !== 'keyspace');
    await admin.set(KEY, 'v1');
    await admin.config('SET', FLAGS, 'KEA');
    expect(say(await changes.next())).toBe('saved v1');
    await eventually(() => {
      expect(store.status).toMatchObject({ link: 'live', notifications: 'keyspace' });
    });
  });

  it('do not hide what another process announces', async () => {
    const server = await startRedis();
    const rare = { ...NO_BEAT, pollMs: 600_000 };
    const [one, other] = await Promise.all([watch(server, rare), watch(server, rare)]);
    expect(one.store.status.notifications).not.toBe('keyspace');
    await one.store.save('v1', { reason: 'login' });
    const change = await other.changes.next();
    expect(change).toMatchObject({ type: 'saved', source: 'live', reason: 'login' });
    expect(change.origin).toEqual({
      instance: expect.any(String) as unknown,
      name: expect.any(String) as unknown,
    });
    await other.store.clear({ reason: 'logout' });
    await one.changes.next(saved('v1'));
    expect(await one.changes.next()).toMatchObject({ type: 'cleared', reason: 'logout' });
  });
});

describe('configureNotifications', () => {
  it('adds the flags that are missing and takes none away', async () => {
    const server = await startRedis({ config: { [FLAGS]: 'El' } });
    const admin = connect(server);
    const { store, changes } = await watch(server, {
      ...NO_BEAT,
      ...PATIENT,
      configureNotifications: true,
    });
    expect(store.status.notifications).toBe('keyspace');
    expect(await flags(admin)).toBe('$EKeglx');
    await admin.set(KEY, 'v1', 'PX', 600);
    await changes.next(saved('v1'));
    await changes.next(({ type }) => type === 'expired');
  });

  it.each(['KEA', 'AK', 'Kg$lshzxe'])('leaves %s as it is', async (already) => {
    const server = await startRedis({ config: { [FLAGS]: already } });
    const admin = connect(server);
    const before = await flags(admin);
    const counted = await countCommands(admin, async () => {
      const { store } = await watch(server, {
        ...NO_BEAT,
        ...PATIENT,
        configureNotifications: true,
      });
      expect(store.status.notifications).toBe('keyspace');
    });
    expect(await flags(admin)).toBe(before);
    expect(counted.get('config|get')).toBeGreaterThanOrEqual(1);
    expect(counted.get('config|set') ?? 0).toBe(0);
  });

  it('adds the flags again when the server restarted without them, or another client removed them', async () => {
    const server = await startRedis({ config: { [FLAGS]: 'El' } });
    const { store, statuses } = await watch(server, { ...PATIENT, configureNotifications: true });
    expect(store.status.notifications).toBe('keyspace');
    await server.restart();
    await statuses.next(isNotLive);
    await statuses.next((status) => isLive(status) && status.notifications === 'keyspace');
    const admin = connect(server);
    expect(await flags(admin)).toBe('$EKeglx');
    await admin.config('SET', FLAGS, 'K');
    await eventually(async () => expect(await flags(admin)).toBe('$Kegx'));
  });

  it('makes the store read again where flags had to be put back', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const options = { ...NO_ROUNDS, ...PATIENT, probeMs: 300, configureNotifications: true };
    const { changes } = await watch(server, options);
    await admin.multi().config('SET', FLAGS, 'Egx').set(KEY, 'v1').exec();
    expect(say(await changes.next())).toBe('saved v1');
    expect(await flags(admin)).toBe('$EKegx');
  });

  it('changes nothing unless the option asks for it', async () => {
    const server = await startRedis({ config: { [FLAGS]: 'El' } });
    const admin = connect(server);
    const { store } = await watch(server);
    expect(store.status.notifications).toBe('announcements');
    const counted = await countCommands(admin, () => moreProbes(admin, 2));
    expect(await flags(admin)).toBe('El');
    expect([...counted.keys()].filter((name) => name.startsWith('config'))).toEqual([]);
  });

  it('does no harm where CONFIG is refused', async () => {
    const server = await startRedis({ config: { 'rename-command CONFIG': '' } });
    const { store, changes } = await watch(server, {
      ...NO_BEAT,
      ...PATIENT,
      configureNotifications: true,
    });
    const admin = connect(server);
    await moreProbes(admin, 2);
    await admin.set(KEY, 'v1');
    expect(say(await changes.next())).toBe('saved v1');
    expect(store.status).toMatchObject({ link: 'live', notifications: 'announcements' });
  });
});

/** Sorted, as Redis gives them in an order of its own. */
async function flags(admin: Redis): Promise<string> {
  const [, value = ''] = await admin.config('GET', FLAGS);
  return Array.from(value).sort().join('');
}

/** Until so many more probes have been made; each of them writes once. */
async function moreProbes(admin: Redis, count: number): Promise<void> {
  const writes = async (): Promise<number> =>
    Number(/^cmdstat_set:calls=(\d+)/m.exec(await admin.info('commandstats'))?.[1] ?? 0);
  const before = await writes();
  await eventually(async () => expect(await writes()).toBeGreaterThanOrEqual(before + count));
}
