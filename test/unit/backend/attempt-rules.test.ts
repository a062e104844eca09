import { describe, expect, it } from 'vitest';

import { commit, end, renew, settle } from '../../../src/backend/attempt-rules.js';
import {
  CLEARED_MS,
  type AttemptRecord,
  type AttemptView,
  type CommitAttempt,
  type EndAttempt,
  type RenewAttempt,
} from '../../../src/backend/attempts.js';
import { NOW, BY, ME, END, view, record, over, common } from './attempt-rules-world.js';

describe('the rules of renew', () => {
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
  ])('answer for an attempt that %s', (_what, seen, startedFromNothing, answer) => {
    const decision = renew(view({ record: seen }), request({ startedFromNothing }), BY);
    expect(decision.answer).toBe(answer);
    expect(decision.change?.record?.leaseEndsAt).toBe(answer === 'held' ? NOW + 15_000 : undefined);
  });

  it('write a lost record again', () => {
    const { change } = renew(view(), request(), BY);
    expect(change?.record).toEqual({
      id: 'a',
      instance: ME,
      name: BY.name,
      number: 7,
      startedAt: NOW,
      changedAt: NOW,
      leaseEndsAt: NOW + 15_000,
      outcome: 'running',
      failures: 1,
      notBefore: 0,
    });
  });
});

describe('the rules of commit', () => {
  const bytes = Buffer.from('new');
  const request = (more: Partial<CommitAttempt> = {}): CommitAttempt => ({
    ...common,
    bytes,
    ttl: 'keep',
    expected: { digest: 'd' },
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
    ['it was removed without a clear', gone, {}, 'committed'],
    ['nothing was stored before', gone, { expected: 'absent' }, 'committed'],
    ['all was lost', { stored: false }, {}, 'committed'],
    [
      'a clear may be forgotten by now',
      gone,
      { expected: 'absent', startedAt: NOW - CLEARED_MS },
      'cleared',
    ],
  ])('answer when %s', (_when, seen, more, answer) => {
    expect(commit(view(seen), request(more), BY).answer).toBe(answer);
  });

  it('write the credential and the record in one step, and announce it', () => {
    expect(commit(view({ record: own }), request(), BY).change).toEqual({
      write: { bytes, ttl: 'keep', replaces: { digest: 'd' } },
      announce: 'saved',
      record: {
        id: 'a',
        instance: ME,
        name: BY.name,
        number: 7,
        startedAt: own.startedAt,
        changedAt: NOW,
        leaseEndsAt: 0,
        outcome: 'committed',
        failures: 1,
        notBefore: NOW + 11,
      },
    });
  });

  it('write nothing twice, and nothing when the commit is refused', () => {
    for (const seen of [
      { record: over({ id: 'a', outcome: 'committed' }) } as const,
      { record: over({ committed: 'a' }) },
      { record: over() },
      { record: own, conflict: true },
      { ...gone, clearedAt: NOW },
    ])
      expect(commit(view(seen), request(), BY).change).toBeUndefined();
  });
});

describe('the rules of end', () => {
  const request: EndAttempt = {
    ...common,
    outcome: 'fatal',
    pauseMs: 500,
    endsAt: END,
    oauthError: 'invalid_grant',
  };

  it('release the lease, and announce it', () => {
    const own = record({ id: 'a', inDoubt: true });
    expect(end(view({ record: own }), request, BY)).toEqual({
      answer: undefined,
      change: {
        announce: 'attempt',
        record: {
          ...own,
          changedAt: NOW,
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

  it('write a lost record again', () => {
    expect(end(view(), request, BY).change?.record).toMatchObject({ id: 'a', outcome: 'fatal' });
  });

  it('do nothing to another attempt, nor to a committed one', () => {
    for (const seen of [record(), record({ id: 'a', outcome: 'committed' })])
      expect(end(view({ record: seen }), request, BY)).toEqual({ answer: undefined });
  });
});

describe('the rules of settle', () => {
  const fatal = over({ id: 'a', outcome: 'fatal', notBefore: NOW + 9 });

  const request = { ...common, storedAt: undefined };

  it('clear a fatal failure', () => {
    expect(settle(view({ record: fatal }), request).change?.record).toEqual({
      ...fatal,
      outcome: 'needless',
      failures: 0,
      notBefore: 0,
    });
  });

  it('do nothing to another attempt, nor to another outcome', () => {
    for (const seen of [over({ outcome: 'fatal' }), over({ id: 'a' }), undefined])
      expect(settle(view({ record: seen }), request).change).toBeUndefined();
  });

  it.each([
    [true, NOW - 5, undefined, true],
    [true, Infinity, undefined, true],
    [false, NOW - 5, undefined, false],
    [false, NOW - 5, NOW - 6, false],
    [false, NOW - 5, NOW - 5, false],
    [false, NOW - 5, NOW - 4, true],
    [false, Infinity, NOW - 4, false],
  ])(
    'with a credential stored now %s, a tombstone of %d and a reading of %d, remove the tombstone %s',
    (stored, clearedAt, storedAt, dropTombstone) => {
      const { change } = settle(view({ clearedAt, stored }), { ...common, storedAt });
      expect(change).toEqual(dropTombstone ? { dropTombstone } : undefined);
    },
  );
});
