import { expect, it } from 'vitest';

import { systemClock } from '../../src/index.js';
import { noiseMs } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { createWrongClock } from './support/clock.js';
import { KEY, NO_ROUNDS, saved, say, useFaults } from './support/faults.js';
import { serverNow } from './support/server.js';

const { connect, proxy, startNotifying, startRedis, watch } = useFaults();

const DAY_MS = 86_400_000;

it.each([DAY_MS, -DAY_MS])(
  'a wall clock that steps by %d ms moves no end, and costs one observation',
  async (stepMs) => {
    const server = await startNotifying();
    const admin = connect(server);
    const clock = createWrongClock();
    const { store, changes, states } = await watch(server, { clock });
    const expiresAt = Math.ceil(await serverNow(admin)) + 1_000;
    await admin.set(KEY, 'v1', 'PXAT', expiresAt);
    await changes.next(saved('v1'));
    expect(store.current?.credentials).toBe('v1');
    clock.stepWall(stepMs);
    // At once, whatever has been noticed until now.
    expect(store.current).toBeUndefined();
    await eventually(() => expect(store.current?.credentials).toBe('v1'));
    expect(states.values.map(({ type }) => type)).toContain('withheld');
    expect(changes.values.map(say)).toEqual(['saved v1']);
    const expired = await changes.next();
    expect(expired).toMatchObject({ type: 'expired', source: 'live', expiresAt });
    const lateMs = systemClock.now() - expiresAt;
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(noiseMs());
    // Dates in changes are the server's.
    expect(Math.abs(expired.at - systemClock.now())).toBeLessThan(noiseMs());
  },
);

it('a clock that is wrong from the start does not matter', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const wrong = [DAY_MS, -DAY_MS, -systemClock.now()].map(async (stepMs) => {
    const clock = createWrongClock();
    clock.stepWall(stepMs);
    const { store, changes } = await watch(server, { clock, key: `token${stepMs}` });
    await store.save('v1', { ttlSeconds: 1 });
    const { expiresAt } = store.current!;
    expect(Math.abs(expiresAt! - (await serverNow(admin)) - 1_000)).toBeLessThan(noiseMs());
    const expired = await changes.next(({ type }) => type === 'expired');
    expect(expired.at).toBeGreaterThan(expiresAt!);
    expect((await serverNow(admin)) - expiresAt!).toBeLessThan(noiseMs());
  });
  await Promise.all(wrong);
});

it('a credential in doubt after a clock step is withheld until Redis is read', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1', 'PX', 600_000);
  const network = await proxy(server);
  const clock = createWrongClock();
  const { store, changes, states } = await watch(network, { clock, maxStalenessMs: Infinity });
  const credentials = collect(store.credentials$);
  network.refuse({ reset: true });
  await eventually(() => expect(store.status.freshness).toBe('stale'));
  expect(store.current?.credentials).toBe('v1');
  clock.stepWall(DAY_MS);
  expect(store.current).toBeUndefined();
  expect(await states.next(({ type }) => type === 'withheld')).toMatchObject({ reason: 'clock' });
  // Back where it was, but who knows what happened meanwhile.
  clock.stepWall(-DAY_MS);
  expect(store.current).toBeUndefined();
  await network.accept();
  await states.next(({ type }) => type === 'present');
  expect(store.current?.credentials).toBe('v1');
  expect(credentials.values).toEqual(['v1']);
  expect(changes.values).toEqual([]);
});

it('a clock step of less than a second raises no doubt', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1', 'PX', 600_000);
  const clock = createWrongClock();
  const { store, states } = await watch(server, { ...NO_ROUNDS, clock });
  clock.stepWall(400);
  expect(store.current?.credentials).toBe('v1');
  clock.stepWall(-800);
  expect(store.current?.credentials).toBe('v1');
  expect(states.values.map(({ type }) => type)).toEqual(['unknown', 'present']);
});

it('a credential that ended while the machine slept is not served on waking', async () => {
  const server = await startNotifying();
  const clock = createWrongClock();
  const { store, changes, states } = await watch(server, { clock });
  await store.save('v1', { ttlSeconds: 1 });
  const { expiresAt } = store.current!;
  // By the monotonic clock, which the timers follow, none of it has passed.
  clock.sleep(1_300);
  expect(systemClock.now()).toBeGreaterThan(expiresAt!);
  expect(store.current).toBeUndefined();
  const expired = await changes.next(({ type }) => type === 'expired');
  expect(expired).toMatchObject({ expiresAt });
  expect(systemClock.now() - expiresAt!).toBeLessThan(1_000 + noiseMs());
  expect(states.values.at(-1)?.type).toBe('expired');
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});

it('a credential that is valid after a sleep is served again once Redis has confirmed', async () => {
  const server = await startNotifying();
  const clock = createWrongClock();
  const { store, changes, states } = await watch(server, { clock });
  await store.save('v1', { ttlSeconds: 3 });
  const { expiresAt } = store.current!;
  clock.sleep(1_200);
  expect(store.current).toBeUndefined();
  await states.next(({ type }) => type === 'withheld');
  await states.next(({ type }) => type === 'present');
  expect(store.current).toMatchObject({ credentials: 'v1', expiresAt });
  const expired = await changes.next(({ type }) => type === 'expired');
  const lateMs = systemClock.now() - expiresAt!;
  expect(expired.at).toBeGreaterThan(expiresAt!);
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(noiseMs());
});

it('a sleep is noticed on waking, also when nobody reads memory', async () => {
  const server = await startNotifying();
  const clock = createWrongClock();
  const { store, changes, statuses } = await watch(server, { clock, pollMs: 600_000 });
  await store.save('v1');
  clock.sleep(1_200);
  await statuses.next(({ freshness }) => freshness === 'stale');
  await statuses.next(({ freshness }) => freshness === 'fresh');
  await connect(server).set(KEY, 'v2');
  await changes.next(saved('v2'));
  expect(changes.values.map(say)).toEqual(['saved v1', 'saved v2']);
});

it('a reply from before a sleep does not confirm validity after the sleep', async () => {
  // No notification is to come to the rescue.
  const server = await startRedis();
  const admin = connect(server);
  const network = await proxy(server);
  const clock = createWrongClock();
  const { store, changes } = await watch(network, { ...NO_ROUNDS, clock, replyTimeoutMs: 5_000 });
  await store.save('v1', { ttlSeconds: 2 });
  const { expiresAt } = store.current!;
  const savedAt = clock.monotonic();
  // The answer to the next read is held back on its way.
  const answered = new Promise<void>((resolve) => {
    network.onData('toClient', (chunk) => {
      if (!chunk.includes('v1')) return;
      network.pause('toClient');
      resolve();
    });
  });
  await admin.publish(`credstream:0:${KEY}`, 'whatever makes it read');
  await answered;
  clock.sleep(2_300);
  expect(systemClock.now()).toBeGreaterThan(expiresAt!);
  network.resume('toClient');
  // Nobody looks at memory, as that alone would notice the step.
  await changes.next(({ type }) => type === 'expired');
  // Long before the end by the clock that stood still.
  expect(clock.monotonic() - savedAt).toBeLessThan(2_000);
  expect(store.current).toBeUndefined();
  expect(changes.values.map(say)).toEqual(['saved v1', 'expired v1']);
});
