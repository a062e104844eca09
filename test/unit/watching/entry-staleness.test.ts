import { beforeAll, describe, expect, it } from 'vitest';

import { credentialMatchers } from 'credstream/testing';

import { watched } from './entry-world.js';
import { HOUR } from './scripted-backend.js';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

describe('while cut off from Redis', () => {
  it('memory is served for maxStalenessMs and then withheld, visibly', async () => {
    const { backend, clock, live, states, token } = await watched({ token: 'one' });
    await clock.advance(60_000);
    backend.feed({ link: 'reconnecting' });
    const since = clock.now();
    expect(live.status).toMatchObject({
      freshness: 'stale',
      staleSince: since,
      maxLagMs: undefined,
    });
    await clock.advance(29_999);
    expect(token()).toBe('one');
    expect(live.state.type).toBe('present');
    await clock.advance(1);
    expect(token()).toBeUndefined();
    expect(live.state).toEqual({ type: 'withheld', reason: 'stale', since });
    expect(states.at(-1)).toEqual(live.state);
  });

  it('staleness counts from when hints were last known to arrive, not from the loss', async () => {
    const { backend, clock, live, token } = await watched({ token: 'one' });
    await clock.advance(60_000);
    backend.confirmed = clock.monotonic() - 10_000;
    backend.feed({ link: 'reconnecting' });
    expect(live.status.staleSince).toBe(clock.now() - 10_000);
    await clock.advance(19_999);
    expect(token()).toBe('one');
    await clock.advance(1);
    expect(token()).toBeUndefined();
  });

  it('memory is withheld at the instant, although its timer is late', async () => {
    const { backend, clock, live, states } = await watched({ token: 'one' });
    let seen: unknown = 'not asked';
    // Set first, so that of the two timers of that instant it is the first to fire.
    clock.setTimer(() => {
      seen = [live.current, states.at(-1)?.type];
    }, 30_000);
    backend.feed({ link: 'reconnecting' });
    await clock.advance(30_000);
    expect(seen).toEqual([undefined, 'present']);
    expect(states.at(-1)?.type).toBe('withheld');
  });

  it('a removal that is hinted at while the key is read again after a gap is withheld after replyTimeoutMs, visibly', async () => {
    const { backend, clock, states, token } = await watched({ token: 'one' });
    backend.replyTimeoutMs = 300;
    backend.latencyMs = undefined;
    backend.feed({ link: 'reconnecting' });
    backend.feed({ link: 'live', generation: 2 });
    await clock.advance(100);
    backend.hint({ type: 'removed', as: 'cleared' });
    await clock.advance(200);
    // A later hint does not put it off.
    backend.hint({ type: 'removed', as: 'cleared' });
    await clock.advance(99);
    expect(token()).toBe('one');
    expect(states.map(({ type }) => type)).toEqual(['present']);
    await clock.advance(1);
    expect(states.map(({ type }) => type)).toEqual(['present', 'withheld']);
    expect(token()).toBeUndefined();
  });

  it.each([
    ['at once with 0', 0, 0, undefined],
    ['never with Infinity', Infinity, 1_000 * HOUR, 'one'],
  ])('memory is withheld %s', async (_name, maxStalenessMs, waitMs, expected) => {
    const { backend, clock, token } = await watched({ token: 'one' }, { maxStalenessMs });
    backend.feed({ link: 'reconnecting' });
    await clock.advance(waitMs);
    expect(token()).toBe(expected);
  });

  it('a change of the link state does not restart the count', async () => {
    const { backend, clock, token } = await watched({ token: 'one' });
    backend.feed({ link: 'reconnecting' });
    await clock.advance(20_000);
    backend.feed({ link: 'unauthorized' });
    // Connected again, but nothing has been observed.
    backend.latencyMs = undefined;
    backend.feed({ link: 'live' });
    await clock.advance(9_999);
    expect(token()).toBe('one');
    await clock.advance(1);
    expect(token()).toBeUndefined();
    await backend.requests[0]?.answer();
    expect(token()).toBe('one');
  });

  it('the way back shows the current state, and emits only changes', async () => {
    const { backend, clock, live, states, changes, token } = await watched({ token: 'one' });
    const held = live.current;
    backend.feed({ link: 'reconnecting' });
    await clock.advance(HOUR);
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(live.current).toBe(held);
    expect(changes).toEqual([]);
    expect(states.map(({ type }) => type)).toEqual(['present', 'withheld', 'present']);
    expect(live.status).toMatchObject({ freshness: 'fresh', staleSince: undefined });

    backend.feed({ link: 'reconnecting' });
    await clock.advance(HOUR);
    backend.put('two');
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(token()).toBe('two');
    expect(changes).toHaveLength(1);
    expect(changes[0]).toBeChange('saved', { previous: { token: 'one' }, source: 'resync' });
  });

  it('absence is withheld as well', async () => {
    const { backend, clock, live, states } = await watched(undefined);
    expect(states.map(({ type }) => type)).toEqual(['absent']);
    backend.feed({ link: 'reconnecting' });
    await clock.advance(HOUR);
    expect(live.state).toMatchObject({ type: 'withheld', reason: 'stale' });
  });

  it('no timer is left at the end of the outage, or without a watcher', async () => {
    const { backend, clock, release } = await watched({ token: 'one' });
    backend.feed({ link: 'reconnecting' });
    expect(clock.pendingTimers).toBe(1);
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
    backend.feed({ link: 'reconnecting' });
    release();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('when the clocks of the machine come apart', () => {
  it.each([
    ['the wall clock is set forward', 5_000],
    ['the wall clock is set back', -86_400_000],
  ])('because %s, memory is withheld until the key has been read again', async (_name, ms) => {
    const { backend, clock, live, changes, states } = await watched(
      { token: 'one' },
      { inMs: HOUR },
    );
    const held = live.current;
    clock.step(ms);
    expect(live.current).toBeUndefined();
    expect(live.state).toMatchObject({ type: 'withheld' });
    expect(backend.clockSteps).toBeGreaterThan(0);
    backend.feed({ link: 'live', gap: 'clock' });
    expect(live.state).toMatchObject({ type: 'withheld', reason: 'clock' });
    await clock.settle();
    expect(live.current).toBe(held);
    expect(live.state).toMatchObject({ type: 'present' });
    expect(changes).toEqual([]);
    expect(states.map(({ type }) => type)).toEqual(['present', 'withheld', 'present']);
  });

  it('by less than a second, nothing happens', async () => {
    const { backend, clock, token } = await watched({ token: 'one' }, { inMs: HOUR });
    clock.step(900);
    expect(token()).toBe('one');
    clock.step(-1_800);
    expect(token()).toBe('one');
    expect(backend.clockSteps).toBe(0);
  });

  it('because the machine slept past an end, nothing is served and the end is emitted', async () => {
    const { backend, clock, live, changes } = await watched({ token: 'one' }, { inMs: HOUR });
    backend.sleep(2 * HOUR);
    expect(live.current).toBeUndefined();
    expect(live.state).toMatchObject({ type: 'withheld' });
    backend.feed({ link: 'live', gap: 'clock' });
    await clock.settle();
    expect(changes).toHaveLength(1);
    expect(changes[0]).toBeChange('expired', { previous: { token: 'one' }, source: 'resync' });
    expect(live.state.type).toBe('expired');
  });

  it('while cut off, memory is withheld until the link is back', async () => {
    const { backend, clock, live, token } = await watched({ token: 'one' }, { inMs: HOUR });
    backend.feed({ link: 'reconnecting' });
    clock.step(10_000);
    expect(token()).toBeUndefined();
    backend.feed({ link: 'reconnecting', gap: 'clock' });
    clock.step(-10_000);
    expect(token()).toBeUndefined();
    expect(live.state).toMatchObject({ type: 'withheld', reason: 'clock' });
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(token()).toBe('one');
  });

  it('credentials without an end are withheld just the same', async () => {
    const { clock, token } = await watched({ token: 'one' });
    clock.step(5_000);
    expect(token()).toBeUndefined();
  });
});
