import { beforeAll, describe, expect, it } from 'vitest';

import { credentialMatchers } from 'credstream/testing';

import { bytesOf, watched } from './entry-world.js';
import { HOUR } from './scripted-backend.js';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

const DAY = 24 * HOUR;

describe('an end', () => {
  it('is emitted when a reading confirms it, and not served any more before that', async () => {
    const { backend, clock, live, changes, token } = await watched(
      { token: 'one' },
      { inMs: 1_000 },
    );
    const held = live.current;
    backend.latencyMs = undefined;
    await clock.advance(999);
    expect(token()).toBe('one');
    await clock.advance(1);
    expect(token()).toBeUndefined();
    expect(live.state).toMatchObject({ type: 'withheld', reason: 'ended' });
    await clock.advance(10);
    expect(changes).toEqual([]);
    await backend.requests[0]?.answer();
    expect(changes[0]).toBeChange('expired', { expiresAt: held?.expiresAt, source: 'live' });
    expect(changes[0]?.previous).toBe(held);
    expect(held?.signal.reason).toMatchObject({ change: { type: 'expired', at: changes[0]?.at } });
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['is ahead', 5 * DAY],
    ['is behind', -5 * DAY],
  ])('goes by the clock of the server, which %s', async (_name, serverAheadMs) => {
    const { clock, emitted, token } = await watched(
      { token: 'one' },
      { inMs: 1_000, serverAheadMs },
    );
    await clock.advance(998);
    expect([token(), emitted()]).toEqual(['one', []]);
    await clock.advance(4);
    expect([token(), emitted()]).toEqual([undefined, ['expired']]);
  });

  it('is early in memory and late in changes by a round trip at most', async () => {
    const world = await watched(undefined);
    const { backend, clock, changes, token } = world;
    backend.latencyMs = 40;
    const expiresAt = backend.put('one', 10_000)!;
    backend.hint();
    await clock.advance(40);
    expect(token()).toBe('one');
    await clock.advance(expiresAt - backend.serverNow() - 41);
    expect(token()).toBe('one');
    await clock.advance(41);
    expect(token()).toBeUndefined();
    await clock.advance(90);
    expect(changes[1]).toBeChange('expired', { expiresAt });
    expect(changes[1]!.at - expiresAt).toBeLessThanOrEqual(80);
  });

  it('that a reading finds still to come is waited for again, and emits no change', async () => {
    const { backend, clock, emitted, states } = await watched({ token: 'one' }, { inMs: 1_000 });
    await clock.advance(900);
    backend.stepServer(-500);
    const reads = backend.reads;
    await clock.advance(599);
    expect(backend.reads).toBe(reads + 1);
    expect([emitted(), states.map(({ type }) => type)]).toEqual([
      [],
      ['present', 'withheld', 'present'],
    ]);
    await clock.advance(3);
    expect(backend.reads).toBe(reads + 2);
    expect(emitted()).toEqual(['expired']);
  });

  it('that moved imperceptibly is emitted when it has come, and not before', async () => {
    const { backend, clock, emitted, token } = await watched({ token: 'one' }, { inMs: 1_000 });
    backend.toleranceMs = 100;
    // As when a slot moves to another server, with the time that is left.
    backend.put('one', 1_060);
    backend.hint();
    await clock.advance(1_050);
    expect([token(), emitted()]).toEqual([undefined, []]);
    await clock.advance(20);
    expect(emitted()).toEqual(['expired']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that another client moved unnoticed is emitted as renewed at the old instant', async () => {
    const { backend, clock, emitted, token } = await watched({ token: 'one' }, { inMs: 1_000 });
    const expiresAt = backend.put('one', HOUR);
    await clock.advance(1_100);
    expect(emitted()).toEqual(['renewed one']);
    expect(token()).toBe('one');
    await clock.advance(expiresAt! - backend.serverNow() + HOUR / 5_000);
    expect(emitted()).toEqual(['renewed one', 'expired']);
  });

  it('that was overwritten unnoticed is emitted as saved, never as expired', async () => {
    const { backend, clock, emitted } = await watched({ token: 'one' }, { inMs: 1_000 });
    backend.put('two');
    await clock.advance(HOUR);
    expect(emitted()).toEqual(['saved two']);
  });

  it.each([2 ** 31 - 1, 2 ** 31 + 5, 100 * DAY])(
    '%d ms away is not emitted early',
    async (inMs) => {
      const { clock, emitted, token } = await watched({ token: 'one' }, { inMs });
      // Between two clocks that nobody compares any more, a ten-thousandth is allowed for.
      await clock.advance(inMs - inMs / 5_000);
      expect([token(), emitted()]).toEqual(['one', []]);
      await clock.advance(inMs / 2_500);
      expect([token(), emitted()]).toEqual([undefined, ['expired']]);
    },
  );

  it('of the credential is emitted while its bytes stay, once', async () => {
    const { backend, clock, changes, emitted } = await watched(undefined);
    const expiresAt = clock.now() + 1_000;
    backend.put(bytesOf({ token: 'one', expiresAt }), 2_000);
    backend.hint();
    await clock.advance(1_002);
    expect(changes[1]).toBeChange('expired', { expiresAt });
    backend.hint();
    await clock.advance(HOUR);
    backend.hint({ type: 'removed', as: 'expired' });
    await clock.settle();
    expect(emitted()).toEqual(['saved one', 'expired']);
  });

  it('of a replacement is its own', async () => {
    const { backend, clock, emitted, token } = await watched({ token: 'one' }, { inMs: 1_000 });
    backend.put('two', 3_000);
    backend.hint();
    await clock.advance(2_900);
    expect(token()).toBe('two');
    await clock.advance(200);
    expect(emitted()).toEqual(['saved two', 'expired']);
  });
});

describe('an end that comes while cut off', () => {
  it('is concluded locally at the deadline, and not emitted again on the way back', async () => {
    const { backend, clock, live, changes } = await watched({ token: 'one' }, { inMs: 10_000 });
    backend.feed({ link: 'reconnecting' });
    await clock.advance(9_000);
    expect(live.current).toBeDefined();
    await clock.advance(2_000);
    expect(changes[0]).toBeChange('expired', { source: 'local', previous: { token: 'one' } });
    expect(live.current).toBeUndefined();
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(changes).toHaveLength(1);
    expect(live.state.type).toBe('expired');
  });

  it('is concluded when the link is lost after it has come', async () => {
    const { backend, clock, changes } = await watched({ token: 'one' }, { inMs: 1_000 });
    backend.latencyMs = undefined;
    await clock.advance(1_100);
    expect(changes).toEqual([]);
    backend.feed({ link: 'reconnecting' });
    expect(changes[0]).toBeChange('expired', { source: 'local' });
  });

  it('is corrected when it had moved and the link is back', async () => {
    const { backend, clock, emitted, token } = await watched({ token: 'one' }, { inMs: 10_000 });
    backend.feed({ link: 'reconnecting' });
    await clock.advance(11_000);
    backend.put('one', HOUR);
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(emitted()).toEqual(['expired', 'renewed one']);
    expect(token()).toBe('one');
  });

  it('is concluded although memory is withheld by then', async () => {
    const { backend, clock, changes, live } = await watched({ token: 'one' }, { inMs: HOUR });
    backend.feed({ link: 'reconnecting' });
    await clock.advance(2 * HOUR);
    expect(changes).toHaveLength(1);
    expect(changes[0]).toBeChange('expired', { source: 'local' });
    expect(live.state).toMatchObject({ type: 'withheld' });
  });

  it('is noticed after a decoding that was under way', async () => {
    const { backend, clock, live, changes } = await watched(undefined, {
      deserialize: (bytes) =>
        new Promise((resolve) => {
          const token = bytes.toString();
          backend.clock.setTimer(() => resolve({ token }), 2_000);
        }),
    });
    backend.put('one', 1_000);
    backend.hint();
    await clock.advance(5_000);
    expect(changes).toEqual([]);
    expect(live.current).toBeUndefined();
    expect(['expired', 'absent']).toContain(live.state.type);
  });
});
