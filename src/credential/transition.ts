import type { Withdrawal } from './withdrawal.js';
import { createChange } from './change.js';
import type { ChangeSource } from './origin.js';
import { StoredSnapshot, withdrawalOf, type CredentialSnapshot } from './snapshot.js';
import {
  snapshotOf,
  absent,
  hasEnded,
  type Circumstances,
  type Known,
  type DecodedReading,
  type Step,
} from './state.js';

/** Pure: compares the known state with a reading, and returns the new known state and the one change that follows, if any. */
export function transition<T>(
  known: Known<T>,
  reading: DecodedReading<T>,
  when: Circumstances,
): Step<T> {
  switch (reading.type) {
    case 'absent':
      return readAbsent(known, when);
    case 'unreadable':
      return readUnreadable(known, reading, when);
    case 'readable': {
      const held = snapshotOf(known.state);
      const ended = hasEnded(reading.end, when.now);
      return held !== undefined && reading.digest === known.digest && (ended || !known.neverValid)
        ? readSame(known, held, reading, when)
        : readOther(known, held, reading, when);
    }
  }
}

/** Pure: Redis cannot be asked; if the end of the known credential has passed, the credential expires. */
export function concludeExpiry<T>(known: Known<T>, when: Circumstances): Step<T> {
  const { state } = known;
  if (state.type !== 'present' || !hasEnded(state.snapshot.expiresAt, when.now)) return { known };
  return expire(known, state.snapshot, when, state.snapshot.expiresAt);
}

type Readable<T> = Extract<DecodedReading<T>, { type: 'readable' }>;

function readAbsent<T>(known: Known<T>, when: Circumstances): Step<T> {
  const { state } = known;
  if (state.type === 'unknown') return { known: absent };
  // The key was absent before too: an expired credential whose bytes are gone stays the expired one.
  if (known.digest === undefined) return { known };

  const type = when.labels.removal?.type ?? (ended(known, when.now) ? 'expired' : 'cleared');
  if (type === 'expired') {
    if (state.type === 'present') {
      return expire(
        { ...known, digest: undefined },
        state.snapshot,
        when,
        passedEnd(state.snapshot.expiresAt, when),
      );
    }
    // The expiry was emitted already; the TTL only removes the bytes.
    if (state.type === 'expired') return { known: { ...known, digest: undefined } };
  }
  const common = { ...observedWhen(when), previous: snapshotOf(state) };
  const removal = when.labels.removal;
  const origin = removal?.origin ?? 'unknown';
  if (type === 'expired') {
    return {
      known: absent,
      change: createChange<T>({
        ...common,
        type,
        origin,
        expiresAt: passedEnd(known.ttlEnd, when),
      }),
    };
  }
  if (type === 'evicted')
    return { known: absent, change: createChange<T>({ ...common, type, origin }) };
  return {
    known: absent,
    change: createChange<T>({ ...common, type, origin, reason: removal?.reason }),
  };
}

function readUnreadable<T>(
  known: Known<T>,
  reading: Extract<DecodedReading<T>, { type: 'unreadable' }>,
  when: Circumstances,
): Step<T> {
  const { digest, ttlEnd, error } = reading;
  const { state } = known;
  if (state.type === 'unreadable' && known.digest === digest)
    return { known: { ...known, ttlEnd } };
  const next: Known<T> = { state: { type: 'unreadable', error }, digest, ttlEnd, toleranceMs: 0 };
  if (state.type === 'unknown') return { known: next };
  const change = createChange<T>({
    ...observedWhen(when),
    type: 'unreadable',
    origin: when.labels.write?.origin ?? 'unknown',
    previous: snapshotOf(state),
    error,
  });
  return { known: next, change };
}

function readSame<T>(
  known: Known<T>,
  held: CredentialSnapshot<T>,
  reading: Readable<T>,
  when: Circumstances,
): Step<T> {
  const { end, ttlEnd, digest } = reading;
  const ended = hasEnded(end, when.now);
  if (known.state.type === 'expired' && ended) return { known: { ...known, ttlEnd } };
  if (known.state.type === 'present') {
    if (ended) return expire({ ...known, ttlEnd }, held, when, end);
    // A wobbling end would creep if each small difference were adopted.
    const toleranceMs = known.toleranceMs + when.toleranceMs;
    if (isSameEnd(held.expiresAt, end, toleranceMs, when.lateMs))
      return { known: { ...known, ttlEnd } };
  }
  // An expired credential that comes back was withdrawn, so it gets a new signal.
  const withdrawal = known.state.type === 'present' ? withdrawalOf(held) : undefined;
  const snapshot = createSnapshot(reading, withdrawal, when);
  const change = createChange<T>({
    id: when.id,
    at: Math.floor(when.now),
    source: when.source,
    type: 'renewed',
    origin: when.labels.write?.origin ?? 'unknown',
    previous: held,
    snapshot,
    expiresAt: end,
  });
  return {
    known: { state: { type: 'present', snapshot }, digest, ttlEnd, toleranceMs: when.toleranceMs },
    change,
  };
}

function readOther<T>(
  known: Known<T>,
  held: CredentialSnapshot<T> | undefined,
  reading: Readable<T>,
  when: Circumstances,
): Step<T> {
  const { end, ttlEnd, digest } = reading;
  const { toleranceMs } = when;
  const replaces =
    known.state.type === 'present' && !when.abortOnSaved
      ? withdrawalOf(known.state.snapshot)
      : undefined;
  // A rejected credential is withdrawn already; its successor is not.
  const withdrawal = replaces?.withdrawn ? replaces.successor() : replaces;
  const snapshot = createSnapshot(reading, withdrawal, when);
  if (hasEnded(end, when.now)) {
    const next: Known<T> = {
      state: { type: 'expired', previous: snapshot, expiresAt: end },
      digest,
      ttlEnd,
      toleranceMs,
    };
    if (known.state.type === 'unknown') return { known: next };
    const neverValid: Known<T> = { ...next, neverValid: true };
    // In place of a valid credential this is an expiry; otherwise nothing valid was lost.
    if (known.state.type !== 'present') return { known: neverValid };
    return {
      known: neverValid,
      change: createChange<T>({ ...expiry(when, known.state.snapshot), expiresAt: end }),
    };
  }
  const next: Known<T> = { state: { type: 'present', snapshot }, digest, ttlEnd, toleranceMs };
  if (known.state.type === 'unknown') return { known: next };
  // Written out, because a spread into the literal would cost more than the rest.
  const change = createChange<T>({
    id: when.id,
    at: Math.floor(when.now),
    source: when.source,
    type: 'saved',
    origin: when.labels.write?.origin ?? 'unknown',
    reason: when.labels.write?.reason,
    previous: held,
    snapshot,
    expiresAt: end,
  });
  return { known: next, change };
}

function expire<T>(
  known: Known<T>,
  previous: CredentialSnapshot<T>,
  when: Circumstances,
  expiresAt: number | undefined,
): Step<T> {
  return {
    known: { ...known, state: { type: 'expired', previous, expiresAt } },
    change: createChange<T>({ ...expiry(when, previous), expiresAt }),
  };
}

function expiry<T>(when: Circumstances, previous: CredentialSnapshot<T>) {
  return { ...observedWhen(when), type: 'expired', origin: 'unknown', previous } as const;
}

function observedWhen(when: Circumstances): { id: string; at: number; source: ChangeSource } {
  return { id: when.id, at: Math.floor(when.now), source: when.source };
}

function createSnapshot<T>(
  reading: Readable<T>,
  withdrawal: Withdrawal | undefined,
  when: Circumstances,
): CredentialSnapshot<T> {
  const { credentials, end, digest } = reading;
  return new StoredSnapshot(when.id, credentials, end, digest, withdrawal);
}

/** The last known end, unless it is still to come: then another client moved the end, and the one that passed is not known. */
function passedEnd(end: number | undefined, when: Circumstances): number | undefined {
  return hasEnded(end, when.now + when.toleranceMs) ? end : undefined;
}

function ended<T>(known: Known<T>, now: number): boolean {
  const end = known.state.type === 'present' ? known.state.snapshot.expiresAt : known.ttlEnd;
  return hasEnded(end, now);
}

function isSameEnd(
  before: number | undefined,
  now: number | undefined,
  toleranceMs: number,
  lateMs: number,
): boolean {
  if (before === undefined || now === undefined) return before === now;
  return now >= before - toleranceMs && now <= before + toleranceMs + lateMs;
}
