import type { CredentialChange } from './change.js';
import type { ChangeOrigin, ChangeSource } from './origin.js';
import type { CredentialSnapshot } from './snapshot.js';
import type { UnreadableError } from '../errors.js';

/**
 * Nothing has been observed yet.
 *
 * @public
 */
export interface UnknownState {
  /** The discriminant of the union. */
  readonly type: 'unknown';
}

/**
 * A credential is stored and valid.
 *
 * @public
 */
export interface PresentState<T> {
  /** The discriminant of the union. */
  readonly type: 'present';
  /** The credential. */
  readonly snapshot: CredentialSnapshot<T>;
}

/**
 * The credential is past its end. Its bytes may still be stored: a logical end can come long before that of the TTL.
 *
 * @public
 */
export interface ExpiredState<T> {
  /** The discriminant of the union. */
  readonly type: 'expired';
  /** The credential that ended; it may hold the refresh token that brings the next one. */
  readonly previous: CredentialSnapshot<T>;
  /** The end that passed, in epoch milliseconds of the Redis server's clock. */
  readonly expiresAt: number | undefined;
}

/**
 * Nothing is stored.
 *
 * @public
 */
export interface AbsentState {
  /** The discriminant of the union. */
  readonly type: 'absent';
}

/**
 * The key holds something that is not a credential which this store can read.
 *
 * @public
 */
export interface UnreadableState {
  /** The discriminant of the union. */
  readonly type: 'unreadable';
  /** The reason why the bytes cannot be read. */
  readonly error: UnreadableError;
}

/**
 * A credential is known, but this process cannot vouch for it any longer.
 *
 * @public
 */
export interface WithheldState {
  /** The discriminant of the union. */
  readonly type: 'withheld';
  /**
   * `stale`: without a proof of the link for too long, or an announced removal that no reading has confirmed · `clock`: the machine slept
   * or its clock was set, until the next observation · `ended`: the end has passed and Redis is being asked.
   */
  readonly reason: 'stale' | 'clock' | 'ended';
  /** The start of the withholding, in epoch milliseconds of this machine's clock. */
  readonly since: number;
}

/**
 * The state of a credential as its store knows it; `type` discriminates.
 *
 * @public
 */
export type CredentialState<T> =
  UnknownState | PresentState<T> | ExpiredState<T> | AbsentState | UnreadableState | WithheldState;

/** The states that observations lead to; the judgement of freshness lays `withheld` over them. */
export type KnownState<T> = Exclude<CredentialState<T>, WithheldState>;

/** A state with the data that the next comparison needs: the digest of the stored bytes (`undefined` for none) and the end of their TTL. */
export interface Known<T> {
  readonly state: KnownState<T>;
  readonly digest: string | undefined;
  readonly ttlEnd: number | undefined;
  /** The uncertainty of the end in `state`. */
  readonly toleranceMs: number;
  /** The state is `expired`, and the bytes were past their end when first observed: no change was emitted for them. */
  readonly neverValid?: true;
}

/** An observation after decoding. */
export type DecodedReading<T> =
  | { readonly type: 'absent' }
  | {
      readonly type: 'readable';
      readonly digest: string;
      readonly credentials: T;
      readonly ttlEnd: number | undefined;
      /** The earlier of the logical end and `ttlEnd`. */
      readonly end: number | undefined;
    }
  | {
      readonly type: 'unreadable';
      readonly digest: string;
      readonly error: UnreadableError;
      readonly ttlEnd: number | undefined;
    };

/** The content of hints about the change; labels only. */
export interface Labels {
  readonly write:
    { readonly origin: ChangeOrigin; readonly reason: string | undefined } | undefined;
  readonly removal:
    | {
        readonly type: 'expired' | 'cleared' | 'evicted';
        readonly origin: ChangeOrigin;
        readonly reason: string | undefined;
      }
    | undefined;
}

export const noLabels: Labels = { write: undefined, removal: undefined };

export interface Circumstances {
  readonly id: string;
  /** Server time of the observation. */
  readonly now: number;
  /** Two ends that differ by no more count as equal. */
  readonly toleranceMs: number;
  /** An end that is later by no more counts as equal too. */
  readonly lateMs: number;
  readonly source: ChangeSource;
  readonly labels: Labels;
  /** Whether a newer credential withdraws the one it replaces. */
  readonly abortOnSaved: boolean;
}

export interface Step<T> {
  readonly known: Known<T>;
  readonly change?: CredentialChange<T>;
}

export const unknown: Known<never> = {
  state: { type: 'unknown' },
  digest: undefined,
  ttlEnd: undefined,
  toleranceMs: 0,
};

export const absent: Known<never> = {
  state: { type: 'absent' },
  digest: undefined,
  ttlEnd: undefined,
  toleranceMs: 0,
};

/** Whether an end has passed for certain: Redis still serves a key in the very millisecond in which its TTL ends. */
export function hasEnded(end: number | undefined, now: number): boolean {
  return end !== undefined && now >= end + 1;
}

/** The credential of a state, valid or past its end. */
export function snapshotOf<T>(state: KnownState<T>): CredentialSnapshot<T> | undefined {
  if (state.type === 'present') return state.snapshot;
  return state.type === 'expired' ? state.previous : undefined;
}

/**
 * The instant of the next reading because of an end: of a credential, or of bytes that could not be decoded.
 *
 * @param now - the time by which the state was judged
 */
export function nextDeadline({ state, ttlEnd }: Known<unknown>, now: number): number | undefined {
  if (state.type === 'unreadable') return ttlEnd;
  if (state.type !== 'present') return undefined;
  const { expiresAt } = state.snapshot;
  // A credential read after its end is present only because the end moved by less than the tolerance.
  return ttlEnd !== undefined && hasEnded(expiresAt, now) ? ttlEnd : expiresAt;
}

/** Whether the bytes of an expired credential are gone too. */
export function bytesGone(known: Known<unknown>): boolean {
  return known.state.type === 'expired' && known.digest === undefined;
}
