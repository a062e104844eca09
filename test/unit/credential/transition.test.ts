import { describe, expect, it } from 'vitest';

import { credentialMatchers } from 'credstream/testing';

import type { Known } from '../../../src/credential/state.js';
import { concludeExpiry, transition } from '../../../src/credential/transition.js';
import { chapters } from './transition-table.js';
import {
  absent,
  after,
  circumstances,
  heldIn,
  HOUR,
  nothing,
  NOW,
  readable,
  type Token,
  unreadable,
} from './transition-world.js';

expect.extend(credentialMatchers);

const ONE = { token: 'one' };

const present = after(readable('one'));
const ending = after(readable('one', { ttl: NOW }));
const expired = after(readable('one', { ttl: NOW - 2 * HOUR }));
const gone = after(readable('one'), absent);
const broken = after(readable('one'), unreadable());

describe.each(chapters)('a credential that was $from', ({ known, rows }) => {
  it.each(rows)('becomes $state by reading $sees', ({ reading, when, state, tells }) => {
    const step = transition(known, reading, circumstances(when));
    expect(step.known.state.type).toBe(state);
    if (tells === undefined) {
      expect(step.change).toBeUndefined();
      return;
    }
    expect(step.change).toBeChange(...tells);
    expect(step.change).toMatchObject({ id: 'id', at: Math.floor(when?.now ?? NOW) });
    // The very snapshot that was shown, not an equal one.
    expect(step.change?.previous).toBe(heldIn(known));
  });
});

describe('a change', () => {
  it('is dated by the server, in whole milliseconds', () => {
    const { change } = transition(present, absent, circumstances({ now: NOW + 0.7 }));
    expect(change?.at).toBe(NOW);
  });

  it('shares its snapshot with the state', () => {
    const { known, change } = transition(gone, readable('one'), circumstances());
    expect(change?.type === 'saved' && change.snapshot).toBe(heldIn(known));
  });

  it('does not follow from an end that only wobbles, and the end does not creep', () => {
    const reads = { toleranceMs: 1, now: NOW - HOUR };
    let { known } = transition(nothing, readable('one', { ttl: NOW }), circumstances(reads));
    const emitted: number[] = [];
    for (let ms = 1; ms <= 9; ms += 1) {
      const step = transition(known, readable('one', { ttl: NOW + ms }), circumstances(reads));
      if (step.change?.type === 'renewed') emitted.push(step.change.expiresAt! - NOW);
      known = step.known;
    }
    // Two reads may be wrong by one each, and in opposite directions.
    expect(emitted).toEqual([3, 6, 9]);
    expect(heldIn(known)?.expiresAt).toBe(NOW + 9);
  });
});

describe('signals of snapshots', () => {
  const signalOf = (known: Known<Token>) => heldIn(known)?.signal;

  it('are shared by a credential, its renewals and its rotations', () => {
    const renewed = transition(
      present,
      readable('one', { ttl: NOW + HOUR }),
      circumstances(),
    ).known;
    const rotated = transition(renewed, readable('two'), circumstances()).known;
    expect(signalOf(renewed)).toBe(signalOf(present));
    expect(signalOf(rotated)).toBe(signalOf(present));
  });

  it('are not shared with a replacement under abortOnSaved, nor after a withdrawal', () => {
    const when = circumstances({ abortOnSaved: true });
    const rotated = transition(present, readable('two'), when).known;
    const renewed = transition(present, readable('one', { ttl: NOW + HOUR }), when).known;
    const revived = transition(
      expired,
      readable('one', { ttl: NOW + HOUR }),
      circumstances(),
    ).known;
    expect(signalOf(rotated)).not.toBe(signalOf(present));
    expect(signalOf(renewed)).toBe(signalOf(present));
    expect(signalOf(revived)).not.toBe(signalOf(expired));
  });
});

describe('while cut off from Redis', () => {
  it('the end of a valid credential is concluded, once, as local', () => {
    const when = circumstances({ now: NOW + 1, source: 'local' });
    const { known, change } = concludeExpiry(ending, when);
    expect(change).toBeChange('expired', { previous: ONE, expiresAt: NOW, source: 'local' });
    expect(known.state.type).toBe('expired');
    expect(concludeExpiry(known, when).change).toBeUndefined();
    for (const other of [nothing, gone, broken, expired])
      expect(concludeExpiry(other, when)).toEqual({ known: other });
  });

  it('a concluded end is not emitted again on the way back', () => {
    const { known } = concludeExpiry(ending, circumstances({ now: NOW + 1, source: 'local' }));
    const when = circumstances({ now: NOW + 10, source: 'resync' });
    expect(transition(known, readable('one', { ttl: NOW }), when).change).toBeUndefined();
    expect(transition(known, absent, when).change).toBeUndefined();
    const moved = transition(known, readable('one', { ttl: NOW + HOUR }), when);
    expect(moved.change).toBeChange('renewed', { expiresAt: NOW + HOUR });
  });
});
