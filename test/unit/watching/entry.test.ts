import { beforeAll, describe, expect, it } from 'vitest';

import { credentialMatchers } from 'credstream/testing';

import type { Hint } from '../../../src/backend/backend.js';
import { deferred } from '../../support/wait.js';
import { liveWorld, watched } from './entry-world.js';
import { HOUR } from './scripted-backend.js';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

describe('hints and observations', () => {
  it('lead to one read for any number of hints that come together', async () => {
    const { backend, clock, emitted } = await watched({ token: 'one' });
    expect(backend.reads).toBe(1);
    backend.put('two');
    for (let n = 0; n < 10; n += 1) backend.hint();
    await clock.settle();
    expect(backend.reads).toBe(2);
    expect(emitted()).toEqual(['saved two']);
  });

  it('apply every observation, in order, while hints keep coming', async () => {
    const { backend, clock, emitted } = await watched({ token: '0' });
    backend.latencyMs = undefined;
    backend.put('1');
    backend.hint();
    await clock.settle();
    for (let n = 0; n < 40; n += 1) {
      backend.requests[n]?.read();
      backend.put(String(n + 2));
      backend.hint();
      backend.hint();
      await backend.requests[n]?.answer();
    }
    // Each was true when it was seen, although something newer was known to be there already.
    expect(emitted()).toEqual(Array.from({ length: 40 }, (_, n) => `saved ${String(n + 1)}`));
  });

  it('find the write behind a hint that came while the reply was on its way', async () => {
    const { backend, clock, token } = await watched({ token: 'one' });
    backend.latencyMs = undefined;
    backend.hint();
    await clock.settle();
    backend.requests[0]?.read();
    backend.put('two');
    backend.hint();
    await backend.requests[0]?.answer();
    expect(token()).toBe('one');
    await backend.requests[1]?.answer();
    expect(token()).toBe('two');
    expect(backend.requests).toHaveLength(2);
  });

  it('emit nothing for a hint without a write', async () => {
    const { backend, clock, changes, states } = await watched({ token: 'one' });
    const before = states.length;
    for (const as of ['expired', 'cleared', 'evicted'] as const) {
      backend.hint({ type: 'removed', as });
      await clock.settle();
    }
    expect(changes).toEqual([]);
    expect(states).toHaveLength(before);
  });

  it('take the label from the last hint, and use each hint once', async () => {
    const { backend, clock, changes } = await watched({ token: 'one' });
    backend.put('two');
    backend.hint({ origin: { instance: 'other', name: 'pod-7' }, reason: 'rotation' });
    await clock.settle();
    backend.hold({ type: 'absent' });
    backend.hint({ type: 'removed', as: 'evicted', origin: 'unknown' });
    await clock.settle();
    backend.put('three');
    await backend.clock.settle();
    backend.poll();
    await clock.settle();
    expect(changes[0]).toBeChange('saved', {
      origin: { instance: 'other', name: 'pod-7' },
      reason: 'rotation',
    });
    expect(changes[1]).toBeChange('evicted', { origin: 'unknown' });
    expect(changes[2]).toBeChange('saved', { origin: 'unknown', reason: undefined });
  });

  it('request one more read when polled, unless one is under way', async () => {
    const { backend, clock } = await watched({ token: 'one' });
    expect(backend.poll()).toBe('requested');
    await clock.settle();
    expect(backend.reads).toBe(2);
    backend.latencyMs = undefined;
    backend.hint();
    await clock.settle();
    expect(backend.poll()).toBe('none');
  });
});

describe('a gap in the feed', () => {
  it('is followed by a resync, whose changes are emitted once', async () => {
    const { backend, clock, changes, statuses } = await watched({ token: 'one' });
    backend.feed({ link: 'reconnecting' });
    backend.put('two');
    await clock.settle();
    expect(changes).toEqual([]);
    backend.feed({ link: 'live' });
    await clock.settle();
    backend.put('three');
    backend.hint();
    await clock.settle();
    expect(changes).toHaveLength(2);
    expect(changes[0]).toBeChange('saved', { credentials: { token: 'two' }, source: 'resync' });
    expect(changes[1]).toBeChange('saved', { credentials: { token: 'three' }, source: 'live' });
    const conditions = statuses.map(({ link, freshness }) => `${link} ${freshness}`);
    expect(conditions.filter((one, at) => one !== conditions[at - 1])).toEqual([
      'connecting unknown',
      'live fresh',
      'reconnecting stale',
      'live fresh',
    ]);
  });

  it('invalidates the replies of before', async () => {
    const { backend, clock, emitted, token } = await watched({ token: 'one' });
    backend.latencyMs = undefined;
    backend.put('old');
    backend.hint();
    await clock.settle();
    backend.requests[0]?.read();
    backend.feed({ link: 'live', gap: 'data' });
    await clock.settle();
    backend.put('new');
    await backend.requests[1]?.answer();
    await backend.requests[0]?.answer();
    expect(token()).toBe('new');
    expect(emitted()).toEqual(['saved new']);
  });

  it('invalidates a decoding that was under way', async () => {
    const decoding = deferred<{ token: string }>();
    const world = await watched(
      { token: 'one' },
      {
        deserialize: (bytes) =>
          bytes.toString() === 'slow' ? decoding.promise : { token: bytes.toString() },
      },
    );
    const { backend, clock } = world;
    backend.put('slow');
    backend.hint();
    await clock.settle();
    backend.put('new');
    backend.feed({ link: 'live' });
    await clock.settle();
    decoding.resolve({ token: 'late' });
    await clock.settle();
    expect(world.emitted()).toEqual(['saved new']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('emits nothing when nothing changed', async () => {
    const { backend, clock, changes, states } = await watched({ token: 'one' });
    const before = [...states];
    for (let n = 0; n < 3; n += 1) {
      backend.feed({ link: 'reconnecting' });
      backend.feed({ link: 'live' });
      await clock.settle();
    }
    expect(changes).toEqual([]);
    expect(states).toEqual(before);
  });
});

describe('watching', () => {
  it('starts with the first handle and ends with the last, each of which may be released twice', async () => {
    const { backend, clock, live, release } = await watched({ token: 'one' });
    expect(backend.watching).toBe(1);
    const other = live.retain();
    live.keepAlive();
    live.keepAlive();
    release();
    release();
    other();
    other();
    expect(backend.watching).toBe(1);
    expect(live.current?.credentials.token).toBe('one');
    live.close();
    expect(backend.watching).toBe(0);
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('forgets everything when it ends, and knows nothing when it starts again', async () => {
    const { backend, clock, live, release, changes, statuses } = await watched(
      { token: 'one' },
      { inMs: HOUR },
    );
    release();
    expect([backend.watching, live.current, live.state.type]).toEqual([0, undefined, 'unknown']);
    expect(statuses.at(-1)?.link).toBe('idle');
    expect(clock.pendingTimers).toBe(0);
    backend.put('two');
    const again = live.retain();
    await clock.settle();
    expect(live.current?.credentials.token).toBe('two');
    expect(changes).toEqual([]);
    again();
  });

  it('drops a reply that comes after its end', async () => {
    const { backend, clock, live, release, states } = liveWorld();
    backend.latencyMs = undefined;
    await clock.settle();
    release();
    const emitted = states.length;
    await backend.requests[0]?.answer();
    expect(states).toHaveLength(emitted);
    expect(live.state.type).toBe('unknown');
  });

  it('does not start after close, and no call waits', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    let completed = false;
    live.events$.subscribe({ complete: () => (completed = true) });
    live.close();
    live.close();
    expect(completed).toBe(true);
    live.retain()();
    live.keepAlive();
    await live.refreshed();
    await clock.settle();
    expect([backend.watching, live.status.link, live.state.type]).toEqual([0, 'closed', 'unknown']);
  });
});

describe('hints', () => {
  const written = (reason: string): Hint => ({
    type: 'written',
    origin: { instance: 'n', name: 'pod' },
    reason,
  });

  it('that come in one piece of input cost one read, sent at once, which gets their labels', async () => {
    const { backend, clock, changes } = await watched({ token: 'one' });
    const before = backend.reads;
    backend.put('two');
    backend.hint(written('first'));
    expect(backend.reads).toBe(before + 1);
    backend.hint(written('last'));
    await clock.settle();
    expect(backend.reads).toBe(before + 1);
    backend.put('three');
    backend.hint({ type: 'removed', as: 'expired', origin: 'unknown', reason: undefined });
    await clock.settle();
    const reasons = changes.map((change) => (change.type === 'saved' ? change.reason : ''));
    expect(reasons).toEqual(['last', undefined]);
  });

  it('that come with later input cost one read more, however many they are', async () => {
    const { backend, clock } = await watched({ token: 'one' });
    const before = backend.reads;
    backend.hint(written('a'));
    await Promise.resolve();
    backend.hint(written('b'));
    backend.hint(written('c'));
    await clock.settle();
    expect(backend.reads).toBe(before + 2);
  });

  it('wait a turn while an own write is under way, whose reply requests a read too', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const before = backend.reads;
    live.ownWrites += 1;
    backend.hint(written('a'));
    expect(backend.reads).toBe(before);
    live.ownWrites -= 1;
    await live.refreshed(written('a'));
    expect(backend.reads).toBe(before + 1);
    await clock.settle();
    expect(backend.reads).toBe(before + 1);
  });

  it('take the label of the last writer, also when the reply to an own write comes after that', async () => {
    const { backend, clock, live, changes } = await watched({ token: 'one' });
    live.ownWrites += 1;
    backend.put('own');
    backend.hint({ type: 'written', origin: 'self' });
    backend.put('two');
    backend.hint({ type: 'written', origin: { instance: 'another', name: 'pod-8' } });
    live.ownWrites -= 1;
    await live.refreshed({ type: 'written', origin: 'self', reason: undefined });
    await clock.settle();
    expect(changes).toHaveLength(1);
    expect(changes[0]).toBeChange('saved', { credentials: { token: 'two' } });
    expect(changes[0]?.origin).toEqual({ instance: 'another', name: 'pod-8' });
  });
});

describe('events', () => {
  it('have one order for all subscribers, also those that a subscriber causes', async () => {
    const { backend, clock, live } = await watched({ token: 'one' });
    const orders: string[][] = [[], []];
    let cut = false;
    live.events$.subscribe(({ type }) => {
      orders[0]?.push(type);
      if (type !== 'state' || cut) return;
      cut = true;
      backend.feed({ link: 'reconnecting' });
    });
    live.events$.subscribe(({ type }) => orders[1]?.push(type));
    backend.put('two');
    backend.hint();
    await clock.settle();
    expect(orders[0]).toEqual(['state', 'status']);
    expect(orders[1]).toEqual(orders[0]);
  });

  it('with a change come when the store has the new state, and the old signal is aborted', async () => {
    const { backend, clock, live, states } = await watched({ token: 'one' });
    const held = live.current;
    let seen: unknown;
    live.events$.subscribe((event) => {
      if (event.type === 'state' && event.change !== undefined)
        seen = [live.state.type, live.current, states.at(-1)?.type];
    });
    backend.hold({ type: 'absent' });
    backend.hint({ type: 'removed', as: 'cleared' });
    await clock.settle();
    expect(seen).toEqual(['absent', undefined, 'absent']);
    expect(held?.signal.aborted).toBe(true);
  });

  it('with a change during withholding repeat no state', async () => {
    const { backend, clock, live, changes, states } = await watched(
      { token: 'one' },
      { inMs: HOUR, maxStalenessMs: 0 },
    );
    backend.feed({ link: 'reconnecting' });
    const withheld = live.state;
    expect(withheld.type).toBe('withheld');
    await clock.advance(2 * HOUR);
    expect(changes.map(({ type }) => type)).toEqual(['expired']);
    expect(states.filter((state) => state === withheld)).toHaveLength(1);
    expect(states.at(-1)).toBe(withheld);
  });
});
