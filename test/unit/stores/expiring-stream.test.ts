import { describe, expect, it } from 'vitest';

import { changeStream, expiringStream } from '../../../src/stores/streams.js';
import { bytesOf, watched } from '../watching/entry-world.js';
import { HOUR } from '../watching/scripted-backend.js';

describe('expiring$', () => {
  it('is cold: each subscriber has its own deadline', async () => {
    const { clock, live } = await watched({ token: 'one' }, { inMs: HOUR });
    const [early, late]: string[][] = [[], []];
    expiringStream(live, HOUR / 2).subscribe(({ credentials }) => early?.push(credentials.token));
    await clock.advance(HOUR / 2 + 1_000);
    expiringStream(live, HOUR / 2).subscribe(({ credentials }) => late?.push(credentials.token));
    await clock.advance(10);
    expect([early, late]).toEqual([['one'], ['one']]);
  });

  it('cancels its deadline with its subscriber', async () => {
    const { clock, live, release } = await watched({ token: 'one' }, { inMs: HOUR });
    const subscription = expiringStream(live, 60_000).subscribe();
    subscription.unsubscribe();
    release();
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits for the new end when it moves, and drops the old one', async () => {
    const { backend, clock, live } = await watched({ token: 'one' }, { inMs: HOUR });
    const seen: number[] = [];
    expiringStream(live, 60_000).subscribe(() => seen.push(clock.monotonic()));
    backend.put('one', 2 * HOUR);
    backend.hint();
    await clock.advance(HOUR + 60_000);
    expect(seen).toEqual([]);
    await clock.advance(HOUR);
    expect(seen).toHaveLength(1);
  });

  it('does not emit a credential that was replaced or withheld meanwhile', async () => {
    const { backend, clock, live } = await watched({ token: 'one' }, { inMs: HOUR });
    const seen: string[] = [];
    expiringStream(live, 60_000).subscribe(({ credentials }) => seen.push(credentials.token));
    backend.feed({ link: 'reconnecting' });
    await clock.advance(HOUR - 30_000);
    expect(seen).toEqual([]);
    backend.put('two', HOUR);
    backend.feed({ link: 'live' });
    await clock.advance(HOUR - 30_000);
    expect(seen).toEqual(['two']);
  });

  it('emits a credential that lives shorter than the lead once, and never after its end', async () => {
    const { backend, clock, live } = await watched(undefined);
    const seen: string[] = [];
    expiringStream(live, HOUR).subscribe(({ credentials }) => seen.push(credentials.token));
    backend.put('short', 1_000);
    backend.hint();
    await clock.advance(10);
    expect(seen).toEqual(['short']);
    await clock.advance(HOUR);
    backend.put(bytesOf({ token: 'past', expiresAt: clock.now() - 1 }));
    backend.hint();
    await clock.advance(HOUR);
    expect(seen).toEqual(['short']);
  });

  it('emits the same credential again when its end moved later after the warning', async () => {
    const { backend, clock, live } = await watched({ token: 'one' }, { inMs: 2 * HOUR });
    const seen: (number | undefined)[] = [];
    expiringStream(live, HOUR).subscribe(({ expiresAt }) => seen.push(expiresAt));
    await clock.advance(HOUR + 1_000);
    expect(seen).toHaveLength(1);
    for (const inMs of [HOUR / 2, HOUR]) {
      backend.put('one', inMs);
      backend.hint();
      await clock.advance(10);
    }
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBeGreaterThan(seen[0]!);
  });

  it('emits at the end with a lead of nothing, before expired', async () => {
    const { backend, clock, live } = await watched(undefined);
    const seen: string[] = [];
    changeStream(live).subscribe(({ type }) => seen.push(type));
    expiringStream(live, 0).subscribe(() => seen.push('expiring'));
    backend.put('one', 1_000);
    backend.hint();
    await clock.advance(1_010);
    expect(seen).toEqual(['saved', 'expiring', 'expired']);
  });
});
