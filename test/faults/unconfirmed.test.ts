import { expect, it } from 'vitest';

import { invalidate } from '../../src/index.js';
import { expectWithin, noiseMs } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { block } from './support/clock.js';
import { FAST, isLive, KEY, NO_ROUNDS, saved, say, useFaults } from './support/faults.js';

const { connect, open, proxy, startNotifying, watch } = useFaults();

it('a removal that was announced and cannot be confirmed is withheld after replyTimeoutMs', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const network = await proxy(server);
  const replyTimeoutMs = 2_000;
  const { store, states } = await watch(network, { maxStalenessMs: 30_000, replyTimeoutMs });
  let heardAt = 0;
  network.onData('toClient', (chunk, _link, afterwards) => {
    if (heardAt === 0 && chunk.includes('"cleared"')) {
      heardAt = performance.now();
      afterwards(() => network.pause('toClient'));
    }
    return undefined;
  });
  await open(server).clear({ reason: 'leaked' });
  const withheld = await states.next(({ type }) => type === 'withheld');
  expect(withheld).toMatchObject({ reason: 'stale' });
  expect(heardAt).toBeGreaterThan(0);
  expect(performance.now() - heardAt).toBeLessThan(replyTimeoutMs + noiseMs());
  expect(store.current).toBeUndefined();
  await network.heal();
  await states.next(({ type }) => type === 'absent');
});

it('a write that was announced and cannot be confirmed leaves the known credential served', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const network = await proxy(server);
  const { store, statuses, changes } = await watch(network, { maxStalenessMs: 30_000 });
  network.onData('toClient', (chunk, _link, afterwards) => {
    if (chunk.includes('"saved"')) afterwards(() => network.pause('toClient'));
    return undefined;
  });
  await open(server).save('v2');
  await statuses.next(({ freshness }) => freshness === 'stale');
  expect(store.current?.credentials).toBe('v1');
  await network.heal();
  await changes.next(saved('v2'));
});

it('at its end a credential is let go also while Redis hangs, and the end is confirmed afterwards', async () => {
  const server = await startNotifying();
  const { store, states, changes } = await watch(server, { replyTimeoutMs: 5_000 });
  const entries = new Map<string, string>();
  invalidate(entries, store, { all: true });
  const credentials = collect(store.credentials$);
  await store.save('v1', { ttlSeconds: 1 });
  await changes.next(saved('v1'));
  entries.set('entry', 'made from v1');
  const { expiresAt } = store.current!;
  await server.suspend();
  const withheld = await states.next(({ type }) => type === 'withheld');
  expect(withheld).toMatchObject({ reason: 'ended' });
  expect(Math.abs(Date.now() - expiresAt!)).toBeLessThan(noiseMs());
  expect(store.state).toBe(withheld);
  expect(entries.size).toBe(0);
  expect(changes.values.map(say)).toEqual(['saved v1']);
  await server.resume();
  await states.next(({ type }) => type === 'expired');
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
  expect(credentials.values).toEqual([undefined, 'v1', undefined]);
});

it('an end that was moved while Redis hung brings the credential back', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const { states, changes } = await watch(server, { ...NO_ROUNDS, replyTimeoutMs: 5_000 });
  // The end is moved without a notification.
  await admin.set(KEY, 'v1', 'PX', 1_000);
  await changes.next(saved('v1'));
  await admin.config('SET', 'notify-keyspace-events', '');
  await admin.pexpire(KEY, 60_000);
  await server.suspend();
  await states.next(({ type }) => type === 'withheld');
  await server.resume();
  await states.next(({ type }) => type === 'present');
  expect(changes.values.map(say)).toEqual(['saved v1', 'renewed v1']);
});

it('after a standstill every credential is read again, also one whose hints do not arrive', async () => {
  const server = await startNotifying({ config: { 'notify-keyspace-events': '' } });
  const admin = connect(server);
  const rounds = { ...FAST, pollMs: 600_000, probeMs: 600_000, maxStalenessMs: 0 };
  const keys = ['a', 'b', 'c'];
  for (const key of keys) await admin.set(key, 'v1');
  const watched = await Promise.all(keys.map((key) => watch(server, { ...rounds, key })));
  for (const { store } of watched) await eventually(() => isLive(store.status));
  // Redis runs these during the standstill, so that no round of the heartbeat sees them first.
  const writes = Promise.all(keys.map((key) => admin.set(key, 'v2')));
  block(FAST.heartbeatMs + FAST.replyTimeoutMs + 500);
  for (const { store } of watched) expect(store.current).toBeUndefined();
  await writes;
  await expectWithin(FAST.heartbeatMs + FAST.replyTimeoutMs, () =>
    Promise.all(watched.map(({ changes }) => changes.next(saved('v2')))),
  );
  for (const { changes } of watched) expect(changes.values[0]).toMatchObject({ source: 'resync' });
});
