import { expect, it } from 'vitest';

import {
  CredentialMemory,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
} from '../../../src/index.js';
import { idleStatus, StatusViews, type StoreStatus } from '../../../src/credential/status.js';

const fresh: StoreStatus = { ...idleStatus, link: 'live', freshness: 'fresh', maxLagMs: 100 };

function createViews(skewMs?: number) {
  const clocks = { skewMs };
  return { clocks, views: new StatusViews(() => clocks.skewMs) };
}

it('a status without a skew is shown by itself', () => {
  const { views } = createViews();
  expect(views.of(fresh)).toBe(fresh);
  expect(views.passing(fresh)).toBe(fresh);
});

it('a status is shown by one object until the skew moves by more than the wobble of the clocks', () => {
  const { clocks, views } = createViews(40);
  const first = views.of(fresh);
  expect(first).toEqual({ ...fresh, clockSkewMs: 40 });
  for (const skewMs of [41, 40, 39, 41]) {
    clocks.skewMs = skewMs;
    expect(views.of(fresh)).toBe(first);
  }
  clocks.skewMs = 42;
  const second = views.of(fresh);
  expect(second).toEqual({ ...fresh, clockSkewMs: 42 });
  expect(views.of(fresh)).toBe(second);
  clocks.skewMs = undefined;
  expect(views.of(fresh)).toBe(fresh);
});

it('a process that stood still between the readings of two clocks shows no other status', () => {
  const skews = [40, 340, 41, 340, 340, 340];
  const views = new StatusViews(() => skews.shift());
  const first = views.of(fresh);
  expect(views.of(fresh)).toBe(first);
  expect(views.of(fresh)).toMatchObject({ clockSkewMs: 340 });
});

it('the status of another store in the same condition does not take the place of the first', () => {
  const { views } = createViews(40);
  const other = { ...fresh, freshness: 'unknown' } as const;
  const [first, second] = [views.of(fresh), views.of(other)];
  expect(second).toEqual({ ...other, clockSkewMs: 40 });
  expect(views.of(fresh)).toBe(first);
  expect(views.of(other)).toBe(second);
});

it.each([undefined, 40])('a proof that is too old shows one stale status, skew %s', (skewMs) => {
  const { views } = createViews(skewMs);
  const before = views.of(fresh);
  const stale = views.of(fresh, 1_000);
  expect(stale).toEqual({
    ...fresh,
    link: 'reconnecting',
    freshness: 'stale',
    staleSince: 1_000,
    maxLagMs: undefined,
    clockSkewMs: skewMs,
  });
  expect(views.of(fresh, 1_001)).toBe(stale);
  expect(views.of(fresh, 1_002)).toMatchObject({ staleSince: 1_002 });
  expect(views.of(fresh)).toEqual(before);
});

it('a passing view leaves nothing behind', () => {
  const { views } = createViews(40);
  const passing = views.passing(fresh);
  expect(passing).toEqual({ ...fresh, clockSkewMs: 40 });
  expect(views.of(fresh)).not.toBe(passing);
});

it('a store and a directory show one status object while nothing changes', async () => {
  const memory = new CredentialMemory();
  await using store = new MemoryCredentialStore<string>({ key: 'a', memory });
  await using directory = new MemoryCredentialDirectory<string>({ prefix: 'b:', memory });
  await Promise.all([store.ready(), directory.ready(), store.save('one')]);
  for (const source of [store, directory]) {
    const { status } = source;
    expect(status).toMatchObject({ link: 'live', freshness: 'fresh' });
    expect(status.clockSkewMs).toBeTypeOf('number');
    expect(Array.from({ length: 1_000 }, () => source.status === status)).not.toContain(false);
  }
});
