import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  encodeAnnouncement,
  hintFrom,
  hintFromEvent,
} from '../../src/redis/commands/announcement.js';

const SELF = 'node-self';

describe('an announcement', () => {
  it('comes back as the hint that it is, with who and why', () => {
    const saved = encodeAnnouncement({ kind: 'saved', node: 'other', at: 5.7, reason: 'rotation' });
    expect(hintFrom(saved, SELF)).toEqual({
      type: 'written',
      origin: { node: 'other' },
      reason: 'rotation',
    });
    const cleared = encodeAnnouncement({ kind: 'cleared', node: SELF, at: 5, reason: undefined });
    expect(hintFrom(cleared, SELF)).toEqual({
      type: 'removed',
      as: 'cleared',
      origin: 'self',
      reason: undefined,
    });
  });

  it('holds kind, node, time and reason, and nothing else', () => {
    const text = encodeAnnouncement({ kind: 'saved', node: 'n', at: 5.7, reason: 'why' });
    expect(JSON.parse(text)).toEqual({ kind: 'saved', node: 'n', at: 5, reason: 'why' });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"kind":"saved"'],
    ['another kind of JSON', '"cleared"'],
    ['null', 'null'],
    ['a list', '["cleared"]'],
    ['an unknown kind', '{"kind":"deleted"}'],
    ['a kind of another type', '{"kind":["cleared"]}'],
    ['invalid characters', '\ufffd\ufffd\u0000'],
    ['a polluted prototype', '{"__proto__":{"kind":"cleared","node":"x"}}'],
    ['more than we ever send', `{"kind":"cleared","node":"${'x'.repeat(4_096)}"}`],
    ['a megabyte', 'x'.repeat(1_000_000)],
    ['deep nesting', '['.repeat(4_000)],
  ])('that is %s only says that something may have changed', (_name, message) => {
    expect(hintFrom(message, SELF)).toEqual({
      type: 'written',
      origin: 'unknown',
      reason: undefined,
    });
  });

  it('leaves out labels of the wrong type', () => {
    const message = JSON.stringify({ kind: 'cleared', node: 5, reason: { a: 1 }, at: 'x' });
    expect(hintFrom(message, SELF)).toEqual({
      type: 'removed',
      as: 'cleared',
      origin: 'unknown',
      reason: undefined,
    });
  });

  it('never makes the reader throw, nor anything but a hint', () => {
    const message = fc.oneof(fc.string({ unit: 'binary' }), fc.json());
    fc.assert(
      fc.property(message, (text) => {
        const hint = hintFrom(text, SELF);
        expect(['written', 'removed', 'attempt']).toContain(hint.type);
        const reason = 'reason' in hint ? hint.reason : undefined;
        expect(['string', 'undefined']).toContain(typeof reason);
        expect(Object.getPrototypeOf(hint)).toBe(Object.prototype);
      }),
    );
    expect(({} as Record<string, unknown>)['kind']).toBeUndefined();
  });
});

describe('a keyspace notification', () => {
  it.each([
    ['del', 'cleared', 'out-of-band'],
    ['rename_from', 'cleared', 'out-of-band'],
    ['move_from', 'cleared', 'out-of-band'],
    ['expired', 'expired', 'unknown'],
    ['evicted', 'evicted', 'unknown'],
  ])('%s is a removal: %s', (event, as, origin) => {
    expect(hintFromEvent(event)).toEqual({ type: 'removed', as, origin, reason: undefined });
  });

  it.each(['set', 'expire', 'persist', 'restore', 'append', 'rename_to', 'overwritten', '', 'DEL'])(
    '%j means that something changed',
    (event) => {
      expect(hintFromEvent(event)).toEqual({
        type: 'written',
        origin: 'out-of-band',
        reason: undefined,
      });
    },
  );

  it.each(['__proto__', 'constructor', 'toString'])('%s is no removal', (event) => {
    expect(hintFromEvent(event).type).toBe('written');
  });
});
