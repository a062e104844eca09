import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { commandCalls } from '../support/command-counter.js';
import { expectWithin } from '../support/machine-noise.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { FAST, isLive, KEY, say, useFaults, type Watched } from './support/faults.js';
import { watchKeys } from './support/many.js';

const { connect, startNotifying, track, watch } = useFaults();

/** Nothing but the heartbeat comes by. */
const BEAT_ONLY = { heartbeatMs: 100, pollMs: 600_000, probeMs: 600_000 };

describe.each(['FLUSHALL', 'FLUSHDB', 'SWAPDB 0 1'])('%s without a notification', (command) => {
  it('clears the one watched credential within the bound', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    await admin.set(KEY, 'v1');
    const { store, changes, states } = await watch(server, BEAT_ONLY);
    const { maxLagMs } = store.status;
    await run(admin, command);
    const change = await expectWithin(maxLagMs!, () => changes.next());
    expect(change).toMatchObject({ type: 'cleared', source: 'live', origin: 'unknown' });
    expect(states.values.at(-1)).toEqual({ type: 'absent' });
    expect(store.current).toBeUndefined();
  });

  it('clears 40 watched credentials long before the heartbeat has read each of them', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const watched = await watchMany(server, 40);
    const rotationMs = watched.length * FAST.heartbeatMs;
    await run(admin, command);
    const startedAt = performance.now();
    for (const { changes } of watched) await changes.next(undefined, rotationMs);
    expect(performance.now() - startedAt).toBeLessThan(rotationMs / 2);
    expect(watched.flatMap(({ changes }) => changes.values.map(({ type }) => type))).toEqual(
      watched.map(() => 'cleared'),
    );
  });
});

it.each([true, false])(
  '40 credentials are cleared by a loss right after `ready()`, with an epoch before: %s',
  async (known) => {
    const server = await startNotifying();
    const admin = connect(server);
    if (known) await admin.set('credstream:epoch', 'before');
    const keys = Array.from({ length: 40 }, (_, index) => `token:${index}`);
    await fill(admin, keys);
    const watched = watchKeys(connect(server, { lazyConnect: true }), keys, BEAT_ONLY);
    for (const { store } of watched) track(store, () => store.close());
    await Promise.all(watched.map(({ store }) => store.ready()));
    await admin.flushall();
    const rotationMs = keys.length * BEAT_ONLY.heartbeatMs;
    const startedAt = performance.now();
    for (const { changes } of watched)
      await changes.next(({ type }) => type === 'cleared', rotationMs);
    expect(performance.now() - startedAt).toBeLessThan(rotationMs / 2);
  },
);

it('a store takes over the content of another database when the two are swapped', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v1');
  const other = connect(server, { db: 1 });
  await other.set(KEY, 'v2', 'PX', 600_000);
  const { changes } = await watch(server, BEAT_ONLY);
  await run(admin, 'SWAPDB 0 1');
  expect(say(await changes.next())).toBe('saved v2');
  await run(admin, 'SWAPDB 1 0');
  expect(say(await changes.next())).toBe('saved v1');
});

it('a store sees every loss again, because the epoch key is renewed', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const watched = await watchMany(server, 30);
  const keys = watched.map(({ store }) => store.id);
  for (let round = 1; round <= 3; round += 1) {
    await admin.flushall();
    for (const { changes } of watched) await changes.next(({ type }) => type === 'cleared');
    await eventually(async () => expect(await admin.exists('credstream:epoch')).toBe(1));
    await fill(admin, keys);
    for (const { changes } of watched) await changes.next(({ type }) => type === 'saved');
  }
});

it('a store with many credentials clears only those that a loss removed', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  const watched = await watchMany(server, 30);
  const [kept, ...lost] = watched;
  const value = kept!.store.current!.credentials;
  await admin.multi().flushall().set(kept!.store.id, value).exec();
  for (const { changes } of lost) await changes.next();
  expect(lost.flatMap(({ changes }) => changes.values.map(({ type }) => type))).toEqual(
    lost.map(() => 'cleared'),
  );
  expect(kept!.changes.values).toEqual([]);
  expect(kept!.store.current?.credentials).toBe(value);
});

it('a store clears everything when a killed server comes back empty, also many credentials at once', async () => {
  const server = await startNotifying();
  const watched = await watchMany(server, 30);
  await server.restart();
  for (const { changes } of watched) await changes.next();
  expect(new Set(watched.map(({ changes }) => say(changes.values[0]!)))).toEqual(
    new Set(watched.map(({ store }) => `cleared value of ${store.id}`)),
  );
});

/** Stores on one client, as an application has them. */
async function watchMany(server: { readonly url: string }, count: number): Promise<Watched[]> {
  const keys = Array.from({ length: count }, (_, index) => `token:${index}`);
  const admin = connect(server);
  await fill(admin, keys);
  const watched = watchKeys(connect(server, { lazyConnect: true }), keys, BEAT_ONLY);
  for (const { store } of watched) track(store, () => store.close());
  for (const { statuses } of watched) await statuses.next(isLive);
  // Until the mark of the data has been read it cannot be missed.
  await eventually(async () => expect(await admin.exists('credstream:epoch')).toBe(1));
  await beats(admin, 2);
  return watched;
}

async function fill(admin: Redis, keys: readonly string[]): Promise<void> {
  await admin.mset(keys.flatMap((key) => [key, `value of ${key}`]));
}

/** Until so many more scripts have run; the heartbeat is one. */
async function beats(admin: Redis, count: number): Promise<void> {
  const { readCommand } = await abilitiesOf(admin);
  const calls = async (): Promise<number> => (await commandCalls(admin)).get(readCommand) ?? 0;
  const before = await calls();
  await eventually(async () => expect(await calls()).toBeGreaterThanOrEqual(before + count));
}

function run(admin: Redis, command: string): Promise<unknown> {
  const [name = '', ...args] = command.split(' ');
  return admin.call(name, ...args);
}
