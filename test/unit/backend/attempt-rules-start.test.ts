import { describe, expect, it } from 'vitest';

import { MAX_COUNT } from '../../../src/backend/attempt-record.js';
import { start } from '../../../src/backend/attempt-rules.js';
import {
  LONGEST_PAUSE_MS,
  type AttemptRecord,
  type AttemptView,
  type StartAttempt,
} from '../../../src/backend/attempts.js';
import { NOW, BY, ME, END, view, record, over } from './attempt-rules-world.js';

describe('the rules of start', () => {
  const request = (more: Partial<StartAttempt> = {}): StartAttempt => ({
    key: 'k',
    id: 'a',
    leaseMs: 15_000,
    minIntervalMs: 1_000,
    endsAt: END,
    clearedBefore: undefined,
    ...more,
  });
  const answerTo = (seen: Partial<AttemptView>, more: Partial<StartAttempt> = {}) =>
    start(view(seen), request(more), BY);

  it.each<[string, Partial<AttemptView>, Partial<StartAttempt>, string]>([
    ['nothing else is known', {}, {}, 'started'],
    ['another attempt holds the lease', { record: record() }, {}, 'held'],
    ['its lease has ended', { record: record({ leaseEndsAt: NOW }) }, {}, 'started'],
    ['this attempt holds the lease', { record: record({ id: 'a' }) }, {}, 'started'],
    ['this attempt has ended', { record: over({ id: 'a' }) }, {}, 'started'],
    ['the pause lasts', { record: over({ notBefore: NOW + 1 }) }, {}, 'early'],
    ['the pause is over', { record: over({ notBefore: NOW }) }, {}, 'started'],
    ['it was fatal for this end', { record: over({ outcome: 'fatal', endsAt: END }) }, {}, 'fatal'],
    [
      'it was fatal for an end a second away',
      { record: over({ outcome: 'fatal', endsAt: END - 1_000 }) },
      {},
      'fatal',
    ],
    [
      'it was fatal for another end',
      { record: over({ outcome: 'fatal', endsAt: END - 1_001 }) },
      {},
      'started',
    ],
    ['it was fatal without an end', { record: over({ outcome: 'fatal' }) }, {}, 'started'],
    [
      'it was fatal without an end, as now',
      { record: over({ outcome: 'fatal' }) },
      { endsAt: undefined },
      'fatal',
    ],
    [
      'it was fatal and nothing is stored',
      { record: over({ outcome: 'fatal', endsAt: 1 }), stored: false },
      {},
      'fatal',
    ],
    ['it was cleared', { stored: false, clearedAt: NOW - 5 }, {}, 'cleared'],
    ['it was cleared at an unknown instant', { stored: false, clearedAt: Infinity }, {}, 'cleared'],
    ['it was cleared and stored since', { clearedAt: NOW - 5 }, {}, 'started'],
    [
      'it was cleared before it was seen last',
      { stored: false, clearedAt: NOW - 5 },
      { clearedBefore: NOW - 4 },
      'started',
    ],
    [
      'it was cleared when it was seen last',
      { stored: false, clearedAt: NOW - 5 },
      { clearedBefore: NOW - 5 },
      'cleared',
    ],
    [
      'it was cleared, and a logout need not stay one',
      { stored: false, clearedAt: Infinity },
      { clearedBefore: Infinity },
      'started',
    ],
    [
      'it was cleared and the pause lasts',
      { stored: false, clearedAt: NOW - 5, record: over({ notBefore: NOW + 1 }) },
      {},
      'cleared',
    ],
  ])('answer when %s', (_when, seen, more, type) => {
    expect(answerTo(seen, more).answer.type).toBe(type);
  });

  it('change nothing when the start is refused', () => {
    for (const seen of [
      { record: record() },
      { record: over({ notBefore: NOW + 1 }) },
      { record: over({ outcome: 'fatal', endsAt: END }) } as const,
      { stored: false, clearedAt: NOW },
    ])
      expect(answerTo(seen).change).toBeUndefined();
  });

  it('record a new attempt and remove the tombstone', () => {
    const { answer, change } = answerTo({ record: over(), clearedAt: NOW - 5 });
    expect(change).toEqual({
      dropTombstone: true,
      record: {
        id: 'a',
        instance: ME,
        name: BY.name,
        number: 5,
        startedAt: NOW,
        changedAt: NOW,
        leaseEndsAt: NOW + 15_000,
        outcome: 'running',
        failures: 2,
        notBefore: NOW + 1_000,
        endsAt: END,
      },
    });
    expect(answer).toEqual({ type: 'started', record: change?.record, afterClear: false });
  });

  it('only prolong the lease when the same start is sent again', () => {
    const own = record({ id: 'a', leaseEndsAt: NOW - 1 });
    const prolonged = { ...own, changedAt: NOW, leaseEndsAt: NOW + 15_000 };
    expect(answerTo({ record: own })).toEqual({
      answer: { type: 'started', record: prolonged, afterClear: false },
      change: { record: prolonged },
    });
    const ended = over({ id: 'a' });
    expect(answerTo({ record: ended })).toEqual({
      answer: { type: 'started', record: ended, afterClear: false },
    });
  });

  it.each<[Partial<AttemptRecord>, true | undefined]>([
    [{ outcome: 'running', leaseEndsAt: NOW }, true],
    [{ outcome: 'unanswered' }, true],
    [{ outcome: 'failed' }, undefined],
    [{ outcome: 'failed', inDoubt: true }, true],
    [{ outcome: 'needless', inDoubt: true }, true],
    [{ outcome: 'unchanged', inDoubt: true }, undefined],
    [{ outcome: 'discarded', inDoubt: true }, undefined],
    [{ outcome: 'committed', inDoubt: true }, undefined],
  ])('set the doubt after %j: %s', (last, inDoubt) => {
    expect(answerTo({ record: over(last) }).change?.record?.inDoubt).toBe(inDoubt);
  });

  it.each<[Partial<AttemptView>, true | undefined]>([
    [{ stored: false }, true],
    [{ stored: false, record: over({ startedFromNothing: true }) }, true],
    [{ stored: false, record: over() }, undefined],
    [{ stored: true }, undefined],
  ])('set "from nothing" after %j: %s', (seen, fromNothing) => {
    expect(answerTo(seen).change?.record?.startedFromNothing).toBe(fromNothing);
  });

  it('keep the attempt whose result was stored last', () => {
    expect(answerTo({ record: over({ outcome: 'committed' }) }).change?.record?.committed).toBe(
      'b',
    );
    expect(answerTo({ record: over({ committed: 'c' }) }).change?.record?.committed).toBe('c');
  });

  it('cut a lease or a pause without end to the longest that options allow', () => {
    const latest = NOW + LONGEST_PAUSE_MS;
    const held = record({ leaseEndsAt: Number.MAX_SAFE_INTEGER });
    const bounded = { ...held, leaseEndsAt: latest };
    expect(answerTo({ record: held })).toEqual({
      answer: { type: 'held', record: bounded, leftMs: LONGEST_PAUSE_MS },
      change: { record: bounded },
    });
    const early = over({ notBefore: Number.MAX_SAFE_INTEGER });
    expect(answerTo({ record: early })).toEqual({
      answer: { type: 'early', record: { ...early, notBefore: latest }, leftMs: LONGEST_PAUSE_MS },
      change: { record: { ...early, notBefore: latest } },
    });
  });

  it('measure a lease and a pause from now on when the clock of the server has stepped back', () => {
    const ahead = { startedAt: NOW + 600_000, changedAt: NOW + 601_000 };
    const held = record({ ...ahead, leaseEndsAt: NOW + 616_000, notBefore: NOW + 602_000 });
    const cut = { startedAt: NOW, changedAt: NOW, leaseEndsAt: NOW + 15_000 };
    const after = { ...held, ...cut, notBefore: NOW + 1_000 };
    expect(answerTo({ record: held })).toEqual({
      answer: { type: 'held', record: after, leftMs: 15_000 },
      change: { record: after },
    });
    const renewed = record({ changedAt: NOW + 600_000, leaseEndsAt: NOW + 615_000 });
    expect(answerTo({ record: renewed }).answer).toMatchObject({ type: 'held', leftMs: 15_000 });
    const early = over({ startedAt: NOW + 600_000, notBefore: NOW + 601_000 });
    expect(answerTo({ record: early }).answer).toMatchObject({ type: 'early', leftMs: 1_000 });
  });

  it('count no further than the next reader accepts', () => {
    const { change } = answerTo({ record: over({ number: MAX_COUNT }) });
    expect(change?.record?.number).toBe(MAX_COUNT);
  });
});
