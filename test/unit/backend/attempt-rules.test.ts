import { describe, expect, it } from 'vitest';

import { MAX_COUNT } from '../../../src/backend/attempt-record.js';
import { clearFailure, commit, end, renew, start } from '../../../src/backend/attempt-rules.js';
import {
  CLEARED_MS,
  LONGEST_PAUSE_MS,
  type AttemptRecord,
  type AttemptView,
  type CommitAttempt,
  type EndAttempt,
  type RenewAttempt,
  type StartAttempt,
} from '../../../src/backend/attempts.js';

const NOW = 1_000_000_000_000;
const ME = 'this-instance';
const END = 2e12;

const view = (more: Partial<AttemptView> = {}): AttemptView => ({
  now: NOW,
  record: undefined,
  stored: true,
  conflict: false,
  clearedAt: undefined,
  version: 'v',
  ...more,
});

/** The record of another attempt, `b`, which runs. */
const record = (more: Partial<AttemptRecord> = {}): AttemptRecord => ({
  id: 'b',
  instance: 'other',
  number: 4,
  startedAt: NOW - 1_000,
  leaseEndsAt: NOW + 5_000,
  outcome: 'running',
  failures: 2,
  notBefore: NOW - 900,
  ...more,
});

const over = (more: Partial<AttemptRecord> = {}): AttemptRecord =>
  record({ outcome: 'failed', leaseEndsAt: 0, ...more });

const common = { key: 'k', id: 'a', number: 7, failures: 1 };

describe('start', () => {
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
    start(view(seen), request(more), ME);

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
  ])('when %s', (_when, seen, more, type) => {
    expect(answerTo(seen, more).answer.type).toBe(type);
  });

  it('changes nothing when it is refused', () => {
    for (const seen of [
      { record: record() },
      { record: over({ notBefore: NOW + 1 }) },
      { record: over({ outcome: 'fatal', endsAt: END }) } as const,
      { stored: false, clearedAt: NOW },
    ])
      expect(answerTo(seen).change).toBeUndefined();
  });

  it('writes down a new attempt and forgets the clear', () => {
    const { answer, change } = answerTo({ record: over(), clearedAt: NOW - 5 });
    expect(change).toEqual({
      dropTombstone: true,
      record: {
        id: 'a',
        instance: ME,
        number: 5,
        startedAt: NOW,
        leaseEndsAt: NOW + 15_000,
        outcome: 'running',
        failures: 2,
        notBefore: NOW + 1_000,
        endsAt: END,
      },
    });
    expect(answer).toEqual({ type: 'started', record: change?.record });
  });

  it('only prolongs the lease when it is said again', () => {
    const own = record({ id: 'a', leaseEndsAt: NOW - 1 });
    const prolonged = { ...own, leaseEndsAt: NOW + 15_000 };
    expect(answerTo({ record: own })).toEqual({
      answer: { type: 'started', record: prolonged },
      change: { record: prolonged },
    });
    const ended = over({ id: 'a' });
    expect(answerTo({ record: ended })).toEqual({ answer: { type: 'started', record: ended } });
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
  ])('after %j is in doubt: %s', (last, inDoubt) => {
    expect(answerTo({ record: over(last) }).change?.record?.inDoubt).toBe(inDoubt);
  });

  it.each<[Partial<AttemptView>, true | undefined]>([
    [{ stored: false }, true],
    [{ stored: false, record: over({ startedFromNothing: true }) }, true],
    [{ stored: false, record: over() }, undefined],
    [{ stored: true }, undefined],
  ])('of %j is from nothing: %s', (seen, fromNothing) => {
    expect(answerTo(seen).change?.record?.startedFromNothing).toBe(fromNothing);
  });

  it('remembers the attempt whose result was stored last', () => {
    expect(answerTo({ record: over({ outcome: 'committed' }) }).change?.record?.committed).toBe(
      'b',
    );
    expect(answerTo({ record: over({ committed: 'c' }) }).change?.record?.committed).toBe('c');
  });

  it('gives a lease or a pause without end the longest that options allow', () => {
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

  it('counts no further than the next reader accepts', () => {
    const { change } = answerTo({ record: over({ number: MAX_COUNT }) });
    expect(change?.record?.number).toBe(MAX_COUNT);
  });
});

describe('renew', () => {
  const request = (more: Partial<RenewAttempt> = {}): RenewAttempt => ({
    ...common,
    leaseMs: 15_000,
    startedFromNothing: false,
    ...more,
  });

  it.each<[string, AttemptRecord | undefined, boolean, string]>([
    ['runs', record({ id: 'a' }), false, 'held'],
    ['ran out and nobody came', record({ id: 'a', leaseEndsAt: 1 }), false, 'held'],
    ['is lost', undefined, false, 'held'],
    ['has ended', over({ id: 'a' }), false, 'ended'],
    ['was followed by another', over(), false, 'superseded'],
    ['was followed by one from nothing', record({ startedFromNothing: true }), false, 'held'],
    ['both are from nothing', record({ startedFromNothing: true }), true, 'superseded'],
  ])('of an attempt that %s', (_what, seen, startedFromNothing, answer) => {
    const decision = renew(view({ record: seen }), request({ startedFromNothing }), ME);
    expect(decision.answer).toBe(answer);
    expect(decision.change?.record?.leaseEndsAt).toBe(answer === 'held' ? NOW + 15_000 : undefined);
  });

  it('writes a lost record down anew, and says whether the credential was lost with it', () => {
    const { change } = renew(view({ stored: false }), request(), ME);
    expect(change?.record).toEqual({
      id: 'a',
      instance: ME,
      number: 7,
      startedAt: NOW,
      leaseEndsAt: NOW + 15_000,
      outcome: 'running',
      failures: 1,
      notBefore: 0,
      recordLost: true,
    });
    expect(renew(view(), request(), ME).change?.record?.recordLost).toBeUndefined();
  });
});

describe('commit', () => {
  const bytes = Buffer.from('new');
  const request = (more: Partial<CommitAttempt> = {}): CommitAttempt => ({
    ...common,
    bytes,
    ttl: 'keep',
    expected: { digest: 'd' },
    expectedTtlEnd: undefined,
    evicted: false,
    startedFromNothing: false,
    startedAt: NOW - 1_000,
    pauseMs: 10.5,
    ...more,
  });
  const own = record({ id: 'a' });
  const gone = { stored: false, record: own };

  it.each<[string, Partial<AttemptView>, Partial<CommitAttempt>, string]>([
    ['it is the last', { record: own }, {}, 'committed'],
    ['it was given up and is the last', { record: over({ id: 'a' }) }, {}, 'committed'],
    ['the record is lost', {}, {}, 'committed'],
    ['it was followed by another', { record: over() }, {}, 'superseded'],
    [
      'it was followed by one from nothing',
      { record: over({ startedFromNothing: true }) },
      {},
      'committed',
    ],
    [
      'both are from nothing',
      { record: over({ startedFromNothing: true }) },
      { startedFromNothing: true },
      'superseded',
    ],
    ['the answer was lost', { record: over({ id: 'a', outcome: 'committed' }) }, {}, 'committed'],
    ['the answer was lost and another came', { record: over({ committed: 'a' }) }, {}, 'committed'],
    ['it was cleared', { record: own, clearedAt: NOW - 5, stored: false }, {}, 'cleared'],
    ['it was cleared and stored again', { record: own, clearedAt: NOW - 5 }, {}, 'cleared'],
    ['other bytes are stored', { record: own, conflict: true }, {}, 'conflict'],
    ['it vanished', gone, {}, 'cleared'],
    ['nothing was stored before', gone, { expected: 'absent' }, 'committed'],
    ['it was evicted', gone, { evicted: true }, 'committed'],
    ['its TTL has ended', gone, { expectedTtlEnd: NOW }, 'committed'],
    ['its TTL has not ended', gone, { expectedTtlEnd: NOW + 1 }, 'cleared'],
    ['all was lost', { stored: false }, {}, 'committed'],
    [
      'all was lost, as the record says',
      { ...gone, record: record({ id: 'a', recordLost: true }) },
      {},
      'committed',
    ],
    [
      'a clear may be forgotten by now',
      gone,
      { expected: 'absent', startedAt: NOW - CLEARED_MS },
      'cleared',
    ],
  ])('when %s', (_when, seen, more, answer) => {
    expect(commit(view(seen), request(more), ME).answer).toBe(answer);
  });

  it('writes the credential and the record in one step, and announces it', () => {
    expect(commit(view({ record: own }), request(), ME).change).toEqual({
      write: { bytes, ttl: 'keep', replaces: { digest: 'd' } },
      announce: 'saved',
      record: {
        id: 'a',
        instance: ME,
        number: 7,
        startedAt: own.startedAt,
        leaseEndsAt: 0,
        outcome: 'committed',
        failures: 1,
        notBefore: NOW + 11,
      },
    });
  });

  it('writes nothing twice, and nothing when it is refused', () => {
    for (const seen of [
      { record: over({ id: 'a', outcome: 'committed' }) } as const,
      { record: over({ committed: 'a' }) },
      { record: over() },
      { record: own, conflict: true },
      gone,
    ])
      expect(commit(view(seen), request(), ME).change).toBeUndefined();
  });
});

describe('end', () => {
  const request: EndAttempt = {
    ...common,
    outcome: 'fatal',
    pauseMs: 500,
    endsAt: END,
    oauthError: 'invalid_grant',
  };

  it('gives up the lease, and announces it', () => {
    const own = record({ id: 'a', inDoubt: true });
    expect(end(view({ record: own }), request, ME)).toEqual({
      answer: undefined,
      change: {
        announce: 'attempt',
        record: {
          ...own,
          leaseEndsAt: 0,
          outcome: 'fatal',
          failures: 1,
          notBefore: NOW + 500,
          endsAt: END,
          oauthError: 'invalid_grant',
        },
      },
    });
  });

  it('writes a lost record down anew', () => {
    expect(end(view(), request, ME).change?.record).toMatchObject({ id: 'a', outcome: 'fatal' });
  });

  it('does nothing to another attempt, nor to one that is committed', () => {
    for (const seen of [record(), record({ id: 'a', outcome: 'committed' })])
      expect(end(view({ record: seen }), request, ME)).toEqual({ answer: undefined });
  });
});

describe('clearFailure', () => {
  const fatal = over({ id: 'a', outcome: 'fatal', notBefore: NOW + 9 });

  it('takes back a failure for good', () => {
    expect(clearFailure(view({ record: fatal }), common).change?.record).toEqual({
      ...fatal,
      outcome: 'needless',
      failures: 0,
      notBefore: 0,
    });
  });

  it('does nothing to another attempt, nor to another outcome', () => {
    for (const seen of [over({ outcome: 'fatal' }), over({ id: 'a' }), undefined])
      expect(clearFailure(view({ record: seen }), common).change).toBeUndefined();
  });

  it('forgets a clear only while a credential is stored', () => {
    const clearedAt = NOW - 5;
    expect(clearFailure(view({ clearedAt }), common).change).toEqual({ dropTombstone: true });
    expect(clearFailure(view({ clearedAt, stored: false }), common).change).toBeUndefined();
  });
});
