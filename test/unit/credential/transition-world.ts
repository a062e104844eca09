import type { CredentialSnapshot } from '../../../src/credential/snapshot.js';
import {
  type Circumstances,
  snapshotOf,
  type Known,
  type Labels,
  type DecodedReading,
  unknown,
} from '../../../src/credential/state.js';
import { transition } from '../../../src/credential/transition.js';
import { UnreadableError } from '../../../src/errors.js';

export interface Token {
  readonly token: string;
}

export const NOW = Date.UTC(2040, 0, 1);
export const HOUR = 3_600_000;
export const NO_LABELS: Labels = { write: undefined, removal: undefined };

export const absent: DecodedReading<Token> = { type: 'absent' };

/** Bytes are named after the token; the end is the logical one or that of the TTL, whichever comes first. */
export function readable(
  token: string,
  ends: { readonly logical?: number; readonly ttl?: number } = {},
): DecodedReading<Token> {
  const { logical = Infinity, ttl = Infinity } = ends;
  const end = Math.min(logical, ttl);
  return {
    type: 'readable',
    digest: token,
    credentials: { token },
    ttlEnd: ends.ttl,
    end: end === Infinity ? undefined : end,
  };
}

export function unreadable(digest = 'garbage', ttlEnd?: number): DecodedReading<Token> {
  return {
    type: 'unreadable',
    digest,
    error: new UnreadableError('decode', 'no'),
    ttlEnd,
  };
}

export function circumstances(some: Partial<Circumstances> = {}): Circumstances {
  return {
    id: 'id',
    now: NOW,
    toleranceMs: 0,
    lateMs: 0,
    source: 'live',
    labels: NO_LABELS,
    abortOnSaved: false,
    ...some,
  };
}

export function heldIn(known: Known<Token>): CredentialSnapshot<Token> | undefined {
  return snapshotOf(known.state);
}

export const written: Labels = {
  ...NO_LABELS,
  write: { origin: { instance: 'other', name: 'pod-7' }, reason: 'rotation' },
};

export function removed(as: 'expired' | 'cleared' | 'evicted'): Labels {
  return { ...NO_LABELS, removal: { type: as, origin: 'out-of-band', reason: 'why' } };
}

export const nothing = unknown as Known<Token>;

/** What is known after these readings, an hour before now. */
export function after(...readings: readonly DecodedReading<Token>[]): Known<Token> {
  const when = circumstances({ now: NOW - HOUR });
  return readings.reduce((known, one) => transition(known, one, when).known, nothing);
}
