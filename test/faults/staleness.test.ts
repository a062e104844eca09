import { expect, it } from 'vitest';

import { noiseMs } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { FAST, isLive, isNotLive, KEY, saved, say, useFaults } from './support/faults.js';

const { connect, open, proxy, startNotifying, watch } = useFaults();

/** When it is known that nothing is known: a heartbeat goes out and its answer does not come. */
const NOTICED_MS = FAST.heartbeatMs + FAST.replyTimeoutMs;
/** Of two clocks, one of which counts in whole milliseconds. */
const ROUNDING_MS = 5;

it.each(['both', 'toClient', 'toServer'] as const)(
  'a store withholds after maxStalenessMs without a reply from Redis (%s), and not before',
  async (direction) => {
    const maxStalenessMs = NOTICED_MS + 800;
    const server = await startNotifying();
    await connect(server).set(KEY, 'v1');
    const network = await proxy(server);
    const { store, states, statuses, changes } = await watch(network, { maxStalenessMs });
    const credentials = collect(store.credentials$);
    const cutAt = performance.now();
    const cutAtWall = Date.now();
    network.pause(direction);
    const stale = await statuses.next(({ freshness }) => freshness === 'stale');
    expect(performance.now() - cutAt).toBeLessThan(NOTICED_MS + noiseMs());
    expect(stale.link).toBe('reconnecting');
    // From the last moment for which it could vouch, not from when it noticed.
    expect(stale.staleSince! - cutAtWall).toBeLessThan(50);
    expect(cutAtWall - stale.staleSince!).toBeLessThan(FAST.heartbeatMs + noiseMs());
    expect(store.current?.credentials).toBe('v1');
    const withheld = await states.next(({ type }) => type === 'withheld');
    const withheldMs = performance.now() - cutAt;
    expect(withheld).toMatchObject({ reason: 'stale' });
    expect(Date.now() - stale.staleSince!).toBeGreaterThan(maxStalenessMs - ROUNDING_MS);
    expect(withheldMs).toBeLessThan(maxStalenessMs + noiseMs());
    expect(store.current).toBeUndefined();
    expect(store.state.type).toBe('withheld');
    expect(store.status.freshness).toBe('stale');
    await network.heal();
    await states.next(({ type }) => type === 'present');
    expect(store.current?.credentials).toBe('v1');
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh', staleSince: undefined });
    // Nobody was logged out, and nobody logged in again.
    expect(credentials.values).toEqual(['v1']);
    expect(changes.values).toEqual([]);
  },
);

it('a store emits the newer credential when the withheld one was out of date', async () => {
  const server = await startNotifying();
  const writer = connect(server);
  await writer.set(KEY, 'v1');
  const network = await proxy(server);
  const { store, states, changes } = await watch(network, { maxStalenessMs: 0 });
  const credentials = collect(store.credentials$);
  network.pause();
  await states.next(({ type }) => type === 'withheld');
  await writer.set(KEY, 'v2');
  await network.heal();
  await changes.next(saved('v2'));
  expect(credentials.values).toEqual(['v1', 'v2']);
  expect(states.values.map(({ type }) => type)).toEqual([
    'unknown',
    'present',
    'withheld',
    'present',
  ]);
});

it('a late subscriber receives nothing while the credential is withheld', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1', 'PX', 600_000);
  const network = await proxy(server);
  const { store, states } = await watch(network, { maxStalenessMs: 0 });
  network.pause();
  await states.next(({ type }) => type === 'withheld');
  const late = { credentials: collect(store.credentials$), states: collect(store.state$) };
  const expiring = collect(store.expiring$(600_000));
  expect(late.states.values).toMatchObject([{ type: 'withheld', reason: 'stale' }]);
  expect(late.credentials.values).toEqual([]);
  await network.heal();
  expect(await late.credentials.next()).toBe('v1');
  expect((await expiring.next()).credentials).toBe('v1');
  expect(expiring.values).toHaveLength(1);
});

it('a store with maxStalenessMs 0 serves nothing from the moment the link is known to be dead', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const network = await proxy(server);
  const { store, statuses } = await watch(network, { maxStalenessMs: 0 });
  const served: unknown[] = [];
  store.on('status', (status) => {
    if (isNotLive(status)) served.push(store.current);
  });
  network.refuse({ reset: true });
  await statuses.next(isNotLive);
  expect(served[0]).toBeUndefined();
  expect(served.length).toBeGreaterThan(0);
  expect(store.state).toMatchObject({ type: 'withheld', reason: 'stale' });
});

it('a store with maxStalenessMs Infinity serves for as long as the outage lasts', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const network = await proxy(server);
  const { store, states, statuses } = await watch(network, { maxStalenessMs: Infinity });
  // Another one tells when time enough has passed.
  const strict = await watch(network, { maxStalenessMs: 1_000 });
  network.refuse({ reset: true });
  await strict.states.next(({ type }) => type === 'withheld');
  expect(store.current?.credentials).toBe('v1');
  expect(store.status).toMatchObject({ link: 'reconnecting', freshness: 'stale' });
  await network.accept();
  await statuses.next(isLive);
  expect(states.values.map(({ type }) => type)).toEqual(['unknown', 'present']);
});

it('a store that was never live reports an unknown state rather than a stale one', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const network = await proxy(server);
  await network.hold();
  const store = open(network, { maxStalenessMs: 0 });
  const states = collect(store.state$);
  await eventually(() => expect(network.accepted).toBeGreaterThanOrEqual(2));
  expect(store.status).toMatchObject({
    link: 'connecting',
    freshness: 'unknown',
    staleSince: undefined,
  });
  expect(states.values).toEqual([{ type: 'unknown' }]);
  await network.accept();
  const present = await states.next(({ type }) => type === 'present');
  expect(present.type === 'present' && present.snapshot.credentials).toBe('v1');
  expect(states.values).toHaveLength(2);
});

it('a store counts as cut off also when Redis answers everything but the credential', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v1');
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all');
  const url = server.url.replace('redis://', 'redis://app:pw@');
  const { store, states, statuses, changes } = await watch(url, { maxStalenessMs: 300 });
  await admin.call('ACL', 'SETUSER', 'app', 'resetkeys', '~other');
  const status = await statuses.next(({ link }) => link === 'unauthorized');
  expect(status).toMatchObject({ freshness: 'stale', error: { code: 'REFUSED', reply: 'NOPERM' } });
  await states.next(({ type }) => type === 'withheld');
  expect(store.current).toBeUndefined();
  await admin.call('ACL', 'SETUSER', 'app', '~*');
  await states.next(({ type }) => type === 'present');
  await admin.set(KEY, 'v2');
  await changes.next();
  expect(changes.values.map(say)).toEqual(['saved v2']);
});
