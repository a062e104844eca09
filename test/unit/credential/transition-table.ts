import type { ExpectedChange } from 'credstream/testing';

import type { CredentialChangeType } from '../../../src/credential/change.js';
import type {
  Circumstances,
  CredentialState,
  Known,
  DecodedReading,
} from '../../../src/credential/state.js';
import {
  absent,
  after,
  HOUR,
  nothing,
  NOW,
  readable,
  removed,
  type Token,
  unreadable,
  written,
} from './transition-world.js';

/** What is seen, in which state that ends, and which change is emitted, if any. */
export interface Row {
  readonly sees: string;
  readonly reading: DecodedReading<Token>;
  readonly when?: Partial<Circumstances>;
  readonly state: CredentialState<Token>['type'];
  readonly tells?: readonly [CredentialChangeType, ExpectedChange?];
}

interface Chapter {
  readonly from: string;
  readonly known: Known<Token>;
  readonly rows: readonly Row[];
}

type When = Row['when'];

const ONE = { token: 'one' };
const TWO = { token: 'two' };
const HOUR_AGO = NOW - HOUR;

const STATES: Record<CredentialChangeType, Row['state']> = {
  saved: 'present',
  renewed: 'present',
  expired: 'expired',
  cleared: 'absent',
  evicted: 'absent',
  unreadable: 'unreadable',
};

/** A change of this type, with these fields, into the state that it always leads to. */
function tells(
  sees: string,
  reading: DecodedReading<Token>,
  type: CredentialChangeType,
  fields: ExpectedChange = {},
  when: When = {},
): Row {
  return { sees, reading, when, state: STATES[type], tells: [type, fields] };
}

/** A change that leads somewhere else than its type usually does. */
const into = (state: Row['state'], row: Row): Row => ({ ...row, state });

function silent(
  sees: string,
  reading: DecodedReading<Token>,
  state: Row['state'],
  when: When = {},
): Row {
  return { sees, reading, when, state };
}

const first: Chapter = {
  from: 'unknown',
  known: nothing,
  rows: [
    silent('nothing', absent, 'absent'),
    silent('nothing, cleared', absent, 'absent', { labels: removed('cleared') }),
    silent('bytes, written', readable('one'), 'present', { labels: written }),
    silent('bytes past their end', readable('one', { logical: HOUR_AGO }), 'expired'),
    silent('garbage', unreadable(), 'unreadable'),
  ],
};

const gone: Chapter = {
  from: 'absent',
  known: after(readable('one'), absent),
  rows: [
    silent('nothing, evicted', absent, 'absent', { labels: removed('evicted') }),
    silent('bytes past their end', readable('one', { logical: HOUR_AGO }), 'expired'),
    tells('bytes', readable('one'), 'saved', {
      credentials: ONE,
      previous: undefined,
      origin: 'unknown',
      reason: undefined,
      expiresAt: undefined,
    }),
    tells(
      'bytes, written',
      readable('two', { ttl: NOW + HOUR }),
      'saved',
      {
        credentials: TWO,
        origin: { instance: 'other', name: 'pod-7' },
        reason: 'rotation',
        expiresAt: NOW + HOUR,
      },
      { labels: written },
    ),
    tells(
      'bytes after a gap',
      readable('one'),
      'saved',
      { source: 'resync' },
      { source: 'resync' },
    ),
    tells('garbage', unreadable(), 'unreadable', { previous: undefined, reason: 'decode' }),
  ],
};

const endless: Chapter = {
  from: 'present without end',
  known: after(readable('one')),
  rows: [
    silent('the same, written', readable('one'), 'present', { labels: written }),
    tells('other bytes', readable('two'), 'saved', { credentials: TWO, previous: ONE }),
    tells('other bytes past their end', readable('two', { logical: HOUR_AGO }), 'expired', {
      previous: ONE,
      expiresAt: HOUR_AGO,
    }),
    tells(
      'an end, written',
      readable('one', { ttl: NOW + HOUR }),
      'renewed',
      {
        credentials: ONE,
        previous: ONE,
        expiresAt: NOW + HOUR,
        origin: { instance: 'other', name: 'pod-7' },
      },
      { labels: written },
    ),
    tells('an end that has passed', readable('one', { logical: HOUR_AGO }), 'expired', {
      previous: ONE,
      expiresAt: HOUR_AGO,
      origin: 'unknown',
    }),
    tells('nothing', absent, 'cleared', { previous: ONE, origin: 'unknown', reason: undefined }),
    tells(
      'nothing, cleared',
      absent,
      'cleared',
      { previous: ONE, origin: 'out-of-band', reason: 'why' },
      { labels: removed('cleared') },
    ),
    tells('nothing, evicted', absent, 'evicted', { previous: ONE }, { labels: removed('evicted') }),
    tells('nothing, expired', absent, 'expired', { previous: ONE }, { labels: removed('expired') }),
    tells(
      'garbage, written',
      unreadable(),
      'unreadable',
      { previous: ONE, origin: { instance: 'other', name: 'pod-7' } },
      { labels: written },
    ),
  ],
};

const ending: Chapter = {
  from: 'present until now',
  known: after(readable('one', { ttl: NOW })),
  rows: [
    silent('the same in the millisecond of its end', readable('one', { ttl: NOW }), 'present', {
      now: NOW + 0.9,
    }),
    tells(
      'the same after its end',
      readable('one', { ttl: NOW }),
      'expired',
      { previous: ONE, expiresAt: NOW },
      { now: NOW + 1 },
    ),
    tells('no end any more', readable('one'), 'renewed', { expiresAt: undefined }),
    tells(
      'an earlier end',
      readable('one', { ttl: NOW - 50 }),
      'renewed',
      { expiresAt: NOW - 50 },
      { now: NOW - 100 },
    ),
    silent('an end within tolerance', readable('one', { ttl: NOW + 2 }), 'present', {
      toleranceMs: 2,
    }),
    tells(
      'an end beyond tolerance',
      readable('one', { ttl: NOW + 3 }),
      'renewed',
      { expiresAt: NOW + 3 },
      { toleranceMs: 2 },
    ),
    silent(
      'a later end after a move to another server',
      readable('one', { ttl: NOW + 100 }),
      'present',
      {
        lateMs: 100,
      },
    ),
    tells(
      'an end that is earlier by a millisecond, after a move to another server',
      readable('one', { ttl: NOW - 1 }),
      'renewed',
      { expiresAt: NOW - 1 },
      { now: NOW - 100, lateMs: 100 },
    ),
    tells('nothing before its end', absent, 'cleared', {}, { now: NOW - 1 }),
    tells('nothing after its end', absent, 'expired', { expiresAt: NOW }, { now: NOW + 1 }),
    tells(
      'nothing after its end, cleared',
      absent,
      'cleared',
      { previous: ONE },
      { now: NOW + 1, labels: removed('cleared') },
    ),
  ],
};

const expired: Chapter = {
  from: 'expired, its bytes kept for another hour',
  known: after(readable('one', { logical: NOW - 2 * HOUR, ttl: NOW + HOUR })),
  rows: [
    silent('the same', readable('one', { logical: NOW - 2 * HOUR, ttl: NOW + HOUR }), 'expired'),
    silent('other bytes past their end', readable('two', { logical: HOUR_AGO }), 'expired'),
    silent('nothing after the TTL', absent, 'expired', { now: NOW + HOUR + 1 }),
    silent('nothing, expired', absent, 'expired', { labels: removed('expired') }),
    tells('nothing before the TTL', absent, 'cleared', { previous: ONE }),
    tells(
      'nothing after the TTL, cleared',
      absent,
      'cleared',
      { previous: ONE, reason: 'why' },
      { now: NOW + HOUR + 1, labels: removed('cleared') },
    ),
    tells('nothing, evicted', absent, 'evicted', { previous: ONE }, { labels: removed('evicted') }),
    tells('a later end', readable('one', { ttl: NOW + HOUR }), 'renewed', {
      credentials: ONE,
      previous: ONE,
      expiresAt: NOW + HOUR,
    }),
    tells('other bytes', readable('two'), 'saved', { credentials: TWO, previous: ONE }),
    tells('garbage', unreadable(), 'unreadable', { previous: ONE }),
  ],
};

const neverValid: Chapter = {
  from: 'expired, and so when it came',
  known: after(readable('one'), readable('two', { logical: NOW - 2 * HOUR, ttl: NOW + HOUR })),
  rows: [
    silent('the same', readable('two', { logical: NOW - 2 * HOUR, ttl: NOW + HOUR }), 'expired'),
    tells('a later end', readable('two', { ttl: NOW + HOUR }), 'saved', {
      credentials: TWO,
      previous: TWO,
      expiresAt: NOW + HOUR,
    }),
    tells('the bytes from before', readable('one'), 'saved', { credentials: ONE, previous: TWO }),
    silent('nothing after the TTL', absent, 'expired', { now: NOW + HOUR + 1 }),
    tells('nothing before the TTL', absent, 'cleared', { previous: TWO }),
  ],
};

const neverValidTwice: Chapter = {
  from: 'expired when it came, and seen again since',
  known: after(
    absent,
    readable('two', { logical: NOW - 2 * HOUR, ttl: NOW + HOUR }),
    readable('two', { logical: NOW - 2 * HOUR, ttl: NOW + 2 * HOUR }),
  ),
  rows: [tells('a later end', readable('two', { ttl: NOW + HOUR }), 'saved', { credentials: TWO })],
};

const broken: Chapter = {
  from: 'unreadable until now',
  known: after(readable('one'), unreadable('garbage', NOW)),
  rows: [
    silent('the same garbage with another end', unreadable('garbage', NOW + HOUR), 'unreadable'),
    silent('bytes past their end', readable('two', { logical: HOUR_AGO }), 'expired'),
    tells('other garbage', unreadable('other'), 'unreadable', { previous: undefined }),
    tells('the same bytes, readable now', readable('garbage'), 'saved', { previous: undefined }),
    tells('the bytes from before', readable('one'), 'saved', { previous: undefined }),
    tells('nothing', absent, 'cleared', { previous: undefined }, { now: NOW - 1 }),
    into(
      'absent',
      tells('nothing after its TTL', absent, 'expired', { expiresAt: NOW }, { now: NOW + 1 }),
    ),
  ],
};

export const chapters: readonly Chapter[] = [
  first,
  gone,
  endless,
  ending,
  expired,
  neverValid,
  neverValidTwice,
  broken,
];
