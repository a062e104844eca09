import { beforeAll, describe, expect, it } from 'vitest';

import { RefusedError } from 'credstream';
import { credentialMatchers } from 'credstream/testing';

import { watched } from './entry-world.js';
import { HOUR } from './scripted-backend.js';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

describe('bytes that cannot be decoded', () => {
  it('because decoding hangs are unreadable after the deadline, and hints go on', async () => {
    const { backend, clock, changes, emitted, token } = await watched(
      { token: 'one' },
      {
        deserialize: (bytes) =>
          bytes.toString() === 'hangs' ? new Promise(() => {}) : { token: bytes.toString() },
      },
    );
    backend.put('hangs');
    backend.hint();
    await clock.settle();
    expect(token()).toBe('one');
    backend.put('two');
    backend.hint();
    await clock.advance(5_000);
    expect(changes[0]).toBeChange('unreadable', { reason: 'timeout', previous: { token: 'one' } });
    expect(emitted()).toEqual(['unreadable', 'saved two']);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['wrong-type', 'too-large'] as const)('because they are foreign: %s', async (reason) => {
    const { backend, clock, changes, live } = await watched({ token: 'one' });
    backend.hold({ type: 'foreign', reason });
    backend.hint();
    await clock.settle();
    expect(changes[0]).toBeChange('unreadable', { reason, previous: { token: 'one' } });
    expect(live.state).toMatchObject({ type: 'unreadable', error: { reason } });
    backend.hint();
    await clock.settle();
    expect(changes).toHaveLength(1);
  });

  it('are emitted as saved once the reader can decode them', async () => {
    let keys = 0;
    const { backend, clock, emitted } = await watched(undefined, {
      deserialize: (bytes) => {
        if (keys === 0) throw new Error('no key for it');
        return { token: bytes.toString() };
      },
    });
    backend.put('sealed');
    backend.hint();
    await clock.settle();
    keys = 1;
    backend.poll();
    await clock.settle();
    expect(emitted()).toEqual(['unreadable', 'saved sealed']);
  });
});

describe('decoded credentials cannot be kept', () => {
  const failing = () => {
    throw new Error('not now');
  };
  const deserialize = (bytes: Buffer) =>
    bytes.toString() === 'trap'
      ? {
          token: 'trap',
          inner: Object.defineProperty({}, 'lazy', { get: failing, enumerable: true }),
        }
      : { token: bytes.toString() };

  it('because a getter throws', async () => {
    const errors: string[] = [];
    const { backend, clock, changes, live } = await watched(
      { token: 'one' },
      { deserialize, onCallbackError: (_error, where) => errors.push(where) },
    );
    backend.put('trap');
    backend.hint();
    await clock.settle();
    expect(changes[0]).toBeChange('unreadable', { reason: 'decode', previous: { token: 'one' } });
    expect(live.status).toMatchObject({ link: 'live', error: undefined });
    expect(errors).toEqual(['deserialize']);
  });

  it('because its end throws', async () => {
    const { backend, clock, changes, live } = await watched(
      { token: 'one' },
      {
        expiresAt: ({ token }) => {
          const end = new Date();
          if (token === 'trap') end.getTime = failing;
          return token === 'trap' ? end : undefined;
        },
      },
    );
    backend.put('trap');
    backend.hint();
    await clock.settle();
    expect(changes[0]).toBeChange('unreadable', { reason: 'expires-at' });
    expect(live.status).toMatchObject({ link: 'live', error: undefined });
  });
});

describe('unreadable bytes with an end', () => {
  it('are read at that end, and emitted as expired', async () => {
    const { backend, clock, changes, live } = await watched({ token: 'one' });
    const expiresAt = backend.put('garbage', 10_000);
    backend.hint();
    await clock.advance(9_999);
    expect(live.state.type).toBe('unreadable');
    await clock.advance(5);
    expect(changes[1]).toBeChange('expired', { previous: undefined, expiresAt });
    expect(live.state.type).toBe('absent');
    expect(clock.pendingTimers).toBe(0);
  });

  it('while cut off stay unreadable, and cause no repeated work', async () => {
    const { backend, clock, emitted, live } = await watched({ token: 'one' });
    backend.put('garbage', 10_000);
    backend.hint();
    await clock.settle();
    backend.feed({ link: 'reconnecting' });
    await clock.advance(20_000);
    expect(live.state.type).toBe('unreadable');
    backend.feed({ link: 'live' });
    await clock.settle();
    expect(emitted()).toEqual(['unreadable', 'expired']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('do not cause one read after the other when they outlive their end', async () => {
    const { backend, clock } = await watched({ token: 'one' });
    backend.put('garbage', 1_000);
    backend.hint();
    await clock.settle();
    backend.keepsEnded = true;
    const reads = backend.reads;
    await clock.advance(60_000);
    expect(backend.reads - reads).toBeLessThan(5);
  });
});

describe('a key that Redis refuses to read', () => {
  const refusal = new RefusedError('NOPERM', 'no rights');

  it('is unauthorized with the reason, and recovers with the next reply', async () => {
    const { backend, clock, live, changes, token } = await watched({ token: 'one' });
    backend.latencyMs = undefined;
    backend.hint();
    await clock.settle();
    await backend.requests[0]?.reject(refusal);
    expect(live.status).toMatchObject({ link: 'unauthorized', freshness: 'stale', error: refusal });
    expect(token()).toBe('one');
    backend.put('two');
    backend.poll();
    await clock.settle();
    await backend.requests[1]?.answer();
    expect(live.status).toMatchObject({ link: 'live', freshness: 'fresh', error: undefined });
    expect(changes[0]).toBeChange('saved', { source: 'resync' });
  });

  it('still expires', async () => {
    const { backend, clock, changes, token } = await watched({ token: 'one' }, { inMs: HOUR });
    backend.latencyMs = undefined;
    backend.hint();
    await clock.settle();
    await backend.requests[0]?.reject(refusal);
    await clock.advance(HOUR + 1_000);
    expect(token()).toBeUndefined();
    expect(changes[0]).toBeChange('expired', { source: 'local' });
  });
});
