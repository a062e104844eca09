import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  encodeAnnouncement,
  hintFrom,
  hintFromEvent,
} from '../../../src/redis/commands/announcement.js';

const SELF = 'instance-self';

describe('an announcement', () => {
  it('decodes to the same hint, with instance and reason', () => {
    const saved = encodeAnnouncement({
      kind: 'saved',
      instance: 'other',
      name: 'pod-7:1',
      at: 5.7,
      reason: 'rotation',
    });
    expect(hintFrom(saved, SELF)).toEqual({
      type: 'written',
      origin: { instance: 'other', name: 'pod-7:1' },
      reason: 'rotation',
    });
    const cleared = encodeAnnouncement({
      kind: 'cleared',
      instance: SELF,
      name: 'pod-1:1',
      at: 5,
      reason: undefined,
    });
    expect(hintFrom(cleared, SELF)).toEqual({
      type: 'removed',
      as: 'cleared',
      origin: 'self',
      reason: undefined,
    });
  });

  it('contains kind, instance, name, time and reason, and nothing else', () => {
    const announcement = { kind: 'saved', instance: 'n', name: 'pod', reason: 'why' } as const;
    const text = encodeAnnouncement({ ...announcement, at: 5.7 });
    expect(JSON.parse(text)).toEqual({ ...announcement, v: 1, at: 5 });
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
    ['a polluted prototype', '{"__proto__":{"kind":"cleared","instance":"x"}}'],
    ['more than we ever send', `{"kind":"cleared","instance":"${'x'.repeat(4_096)}"}`],
    ['a megabyte', 'x'.repeat(1_000_000)],
    ['deep nesting', '['.repeat(4_000)],
  ])('that is %s only means that something may have changed', (_name, message) => {
    expect(hintFrom(message, SELF)).toEqual({
      type: 'written',
      origin: 'unknown',
      reason: undefined,
    });
  });

  it.each([
    ['of another type', { instance: 5, name: 'pod', reason: { a: 1 }, at: 'x' }],
    ['too long', { instance: 'i'.repeat(65), name: 'pod', reason: 'r'.repeat(257) }],
    ['empty', { instance: '', name: 'pod' }],
    ['with other characters than an id has', { instance: 'a\nb', name: 'pod' }],
  ])('leaves out an instance and a reason that are %s', (_name, labels) => {
    expect(hintFrom(JSON.stringify({ kind: 'cleared', ...labels }), SELF)).toEqual({
      type: 'removed',
      as: 'cleared',
      origin: 'unknown',
      reason: undefined,
    });
  });

  it.each([2, 99, '1', null, 1.5, -1])(
    'of version %j is a hint that something changed, and its labels are not believed',
    (v) => {
      for (const kind of ['saved', 'cleared', 'attempt', 'of a later release']) {
        const labels = { instance: SELF, name: 'pod', reason: 'logout', more: { a: 1 } };
        expect(hintFrom(JSON.stringify({ v, kind, ...labels }), SELF)).toEqual({
          type: 'written',
          origin: 'unknown',
          reason: undefined,
        });
      }
    },
  );

  it.each([
    ['of another type', 5],
    ['missing', undefined],
    ['empty', ''],
    ['too long', 'n'.repeat(129)],
    ['a second line of a log', 'pod\n[error] all is lost'],
    ['an escape sequence', 'pod\u001b[2J'],
    ['turned around', 'pod\u202e'],
    ['a lone surrogate', 'pod\ud800'],
  ])('leaves out a name that is %s', (_name, name) => {
    expect(hintFrom(JSON.stringify({ kind: 'saved', instance: 'other', name }), SELF)).toEqual({
      type: 'written',
      origin: { instance: 'other', name: '' },
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

  it.each(['set', 'expire', 'persist', 'restore', 'append', 'rename_to', '', 'DEL'])(
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
    expect(hintFromEvent(event)?.type).toBe('written');
  });
});

it.each(['keymiss', 'new', 'overwritten', 'type_changed'])(
  'a keyspace notification %s says nothing of the value, and is no hint',
  (event) => {
    expect(hintFromEvent(event)).toBeUndefined();
  },
);

it.each([2, 0, 'text', null])('an announcement of version %j is a hint without label', (v) => {
  const message = JSON.stringify({ v, kind: 'cleared', instance: 'other', name: 'n', reason: 'r' });
  expect(hintFrom(message, SELF)).toEqual({
    type: 'written',
    origin: 'unknown',
    reason: undefined,
  });
});

it.each(['two\nlines', 'bell\u0007', 'turned \u202e around', 'line\u2028separator'])(
  'an announcement with the reason %j loses the reason',
  (reason) => {
    const message = JSON.stringify({ v: 1, kind: 'cleared', instance: 'other', name: 'n', reason });
    expect(hintFrom(message, SELF)).toMatchObject({ type: 'removed', reason: undefined });
  },
);
