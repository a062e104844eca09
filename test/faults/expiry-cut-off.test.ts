import { expect, it } from 'vitest';

import { noiseMs } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';
import { FAST, isLive, isNotLive, KEY, saved, say, useFaults } from './support/faults.js';
import { serverNow } from './support/server.js';

const { connect, proxy, startNotifying, watch } = useFaults();

/** Watched through a network that then breaks, with 800 ms left to live. */
async function cutOff(maxStalenessMs = 30_000) {
  const server = await startNotifying();
  const admin = connect(server);
  const network = await proxy(server);
  const watched = await watch(network, { maxStalenessMs });
  const expiresAt = Math.ceil(await serverNow(admin)) + 800;
  await admin.set(KEY, 'v1', 'PXAT', expiresAt);
  await watched.changes.next(saved('v1'));
  network.refuse({ reset: true });
  await watched.statuses.next(isNotLive);
  return { server, admin, network, expiresAt, ...watched };
}

it('an end that comes while cut off is emitted once, at that end', async () => {
  const { admin, network, store, changes, statuses, expiresAt } = await cutOff();
  expect(store.current?.credentials).toBe('v1');
  const { signal } = store.current!;
  const expired = await changes.next();
  const seenAt = await serverNow(admin);
  expect(expired).toMatchObject({ type: 'expired', source: 'local', expiresAt });
  expect(expired.at).toBeGreaterThan(expiresAt);
  expect(seenAt).toBeGreaterThan(expiresAt);
  expect(seenAt - expiresAt).toBeLessThan(noiseMs());
  expect(store.current).toBeUndefined();
  expect(signal.reason).toMatchObject({ change: { type: 'expired', at: expired.at } });
  expect(store.state).toMatchObject({ type: 'expired', expiresAt });
  await network.accept();
  await statuses.next(isLive);
  await admin.set(KEY, 'v2');
  await changes.next(saved('v2'));
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1', 'saved v2']);
});

it('a credential is served from memory up to its end and not a moment longer while cut off', async () => {
  const { admin, store, expiresAt } = await cutOff();
  let servedAt = 0;
  await eventually(async () => {
    const now = await serverNow(admin);
    // By the server it is at least `now` when memory is looked at.
    const { current } = store;
    if (current === undefined) return true;
    expect(now).toBeLessThan(expiresAt);
    servedAt = now;
    return false;
  });
  expect(expiresAt - servedAt).toBeLessThan(noiseMs());
  expect(expiresAt - (await serverNow(admin))).toBeLessThan(100);
});

it('a credential is emitted as expired also when it was withheld before its end', async () => {
  const { network, store, changes, states, statuses } = await cutOff(200);
  await states.next(({ type }) => type === 'withheld');
  expect(store.current).toBeUndefined();
  expect(changes.values.map(say)).toEqual(['saved v1']);
  expect(await changes.next()).toMatchObject({ type: 'expired', source: 'local' });
  await network.accept();
  await statuses.next(isLive);
  expect(store.state.type).toBe('expired');
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});

it('a credential concluded as expired is emitted again when its end had moved meanwhile', async () => {
  const { admin, network, changes, store, expiresAt } = await cutOff();
  await admin.pexpireat(KEY, expiresAt + 600_000);
  expect(await changes.next()).toMatchObject({ type: 'expired', source: 'local' });
  await network.accept();
  expect(await changes.next()).toMatchObject({
    type: 'renewed',
    source: 'resync',
    expiresAt: expiresAt + 600_000,
  });
  expect(store.current).toMatchObject({ credentials: 'v1', expiresAt: expiresAt + 600_000 });
  expect(store.current?.signal.aborted).toBe(false);
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1', 'renewed v1']);
});

it('a credential concluded as expired is replaced by one saved meanwhile', async () => {
  const { admin, network, changes } = await cutOff();
  await admin.set(KEY, 'v2');
  expect(await changes.next()).toMatchObject({ type: 'expired', source: 'local' });
  await network.accept();
  expect(await changes.next(saved('v2'))).toMatchObject({ source: 'resync' });
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1', 'saved v2']);
});

it('a cleared credential is not emitted as expired when the clear was known before the end', async () => {
  const { admin, network, changes, expiresAt } = await cutOff();
  await admin.del(KEY);
  await network.accept();
  expect(await changes.next()).toMatchObject({ type: 'cleared', source: 'resync' });
  await eventually(async () => expect(await serverNow(admin)).toBeGreaterThan(expiresAt + 100));
  expect(changes.values.map(say)).toEqual(['saved v1', 'cleared v1']);
});

it('an expiry is not emitted again when the server lost everything after it', async () => {
  const { server, network, store, changes, statuses } = await cutOff();
  await changes.next(({ type }) => type === 'expired');
  await server.restart();
  await network.accept();
  await statuses.next(isLive);
  expect(store.state.type).toBe('expired');
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});

it('an expiry comes at its end also when the server hangs', async () => {
  const server = await startNotifying();
  // It ends after the server was found to hang.
  const ttlSeconds = Math.ceil((FAST.heartbeatMs + FAST.replyTimeoutMs) / 1_000);
  const { store, changes, statuses } = await watch(server, { ttlSeconds });
  await store.save('v1');
  const { expiresAt } = store.current!;
  await server.suspend();
  await statuses.next(isNotLive);
  const expired = await changes.next(({ type }) => type === 'expired');
  expect(expired).toMatchObject({ source: 'local', expiresAt });
  // Both run on this machine, so its clock is the server's.
  expect(Date.now()).toBeGreaterThan(expiresAt!);
  expect(Date.now() - expiresAt!).toBeLessThan(noiseMs());
  await server.resume();
  await statuses.next(isLive);
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});

it('an expiry comes at its end also when the link is a black hole and nobody has noticed yet', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  const { store, changes } = await watch(network, { heartbeatMs: 600_000, replyTimeoutMs: 500 });
  await store.save('v1', { ttlSeconds: 1 });
  const { expiresAt } = store.current!;
  network.pause();
  await eventually(() => expect(store.current).toBeUndefined());
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAt! - 50);
  expect(Date.now() - expiresAt!).toBeLessThan(noiseMs());
  // Asking at the end gets no answer, and with that the link is known to be dead.
  expect(await changes.next(({ type }) => type === 'expired')).toMatchObject({ source: 'local' });
  expect(Date.now() - expiresAt!).toBeLessThan(500 + noiseMs());
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});
