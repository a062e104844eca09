import type { Ttl } from './ttl.js';

/*
 * The types of a re-authentication by one instance at a time: the lease, which is the right of one instance, and the record that the attempt
 * started, which outlives the lease. Every verb is idempotent by the attempt's `id`, so that a verb without a reply is called again. Nothing
 * here is secret. All instants are whole milliseconds of the server's clock, except the ends of credentials.
 *
 * A backend reads and swaps (`AttemptBackend`); the rules are in `attempt-rules.ts`, the loop between them is `AttemptVerbs`.
 */

/**
 * The OAuth errors (RFC 6749 section 5.2, RFC 8628, OpenID Connect) that the same request gets again: only other credentials, another client
 * or another configuration help.
 */
export const OAUTH_ERROR_CODES = [
  'invalid_grant',
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'access_denied',
  'expired_token',
  'interaction_required',
  'login_required',
  'consent_required',
] as const;

export type OAuthErrorCode = (typeof OAUTH_ERROR_CODES)[number];

/** The outcome of an attempt, or `running`. `unanswered`: its deadline passed, and its effect is in doubt. */
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

export const ATTEMPT_OUTCOMES = [
  'running',
  'committed',
  'unchanged',
  'needless',
  'failed',
  'fatal',
  'unanswered',
  'discarded',
] as const;

/** The last attempt at one credential, as it is stored. */
export interface AttemptRecord {
  readonly id: string;
  readonly instance: string;
  /** The label of the instance for people. Decides nothing. */
  readonly name?: string | undefined;
  /** The number of this attempt at the credential, from 1. */
  readonly number: number;
  readonly startedAt: number;
  /** The last change of this record. Lease and pause were measured from this instant or an earlier one. */
  readonly changedAt?: number | undefined;
  /** While this attempt is running, no other starts before this instant. */
  readonly leaseEndsAt: number;
  readonly outcome: AttemptOutcome;
  /** The number of attempts in a row that brought no new credentials. */
  readonly failures: number;
  /** No attempt starts before this instant. */
  readonly notBefore: number;
  /** An earlier attempt ended without an answer, and none has succeeded since. */
  readonly inDoubt?: boolean | undefined;
  /**
   * The attempt started from nothing: no credential, no record, no tombstone. An attempt from before a loss of data was unknown to it, and
   * takes precedence.
   */
  readonly startedFromNothing?: boolean | undefined;
  /** The id of the attempt whose result was stored last. Its instance may have missed the reply, and commits again. */
  readonly committed?: string | undefined;
  /** The end of the credential that the attempt was to replace; absent for no end. */
  readonly endsAt?: number | undefined;
  /** A code for the failure, such as `invalid_grant`. */
  readonly oauthError?: OAuthErrorCode | undefined;
}

/** Names one attempt at one credential. */
export interface AttemptName {
  readonly key: string;
  readonly id: string;
}

export interface SettleAttempt extends AttemptName {
  /** The server's time of a reading that found the key stored: every clear before it has ended. */
  readonly storedAt: number | undefined;
}

export interface StartAttempt extends AttemptName {
  readonly leaseMs: number;
  /** The time after this start in which no other attempt starts. */
  readonly minIntervalMs: number;
  /** The end of the credential that the attempt is to replace. */
  readonly endsAt: number | undefined;
  /** A clear before this instant does not refuse the attempt, because the credential was stored since. `Infinity`: no clear does. */
  readonly clearedBefore: number | undefined;
}

export type AttemptStart =
  | {
      readonly type: 'started';
      readonly record: AttemptRecord;
      /** No credential is stored, because of a clear. */
      readonly afterClear: boolean;
    }
  /** Another attempt is running (`held`), the pause is not over (`early`), or the last attempt was `fatal`; a start may succeed after `leftMs`. */
  | {
      readonly type: 'held' | 'early' | 'fatal';
      readonly record: AttemptRecord;
      readonly leftMs: number;
    }
  | { readonly type: 'cleared' };

export interface RenewAttempt extends AttemptName {
  readonly leaseMs: number;
  /** Stored again when the record was lost with all other data. */
  readonly number: number;
  readonly failures: number;
  /** As in the record of this attempt at its start. */
  readonly startedFromNothing: boolean;
}

/** `superseded`: another attempt takes precedence · `ended`: this attempt is no longer running. */
export type RenewOutcome = 'held' | 'superseded' | 'ended';

export interface CommitAttempt extends AttemptName {
  readonly bytes: Buffer;
  /** Milliseconds, `'keep'` for the time that is left, or `'none'`. */
  readonly ttl: Ttl;
  /** The stored bytes that the attempt started from. */
  readonly expected: { readonly digest: string } | 'absent';
  /** As in the record of this attempt at its start. */
  readonly startedFromNothing: boolean;
  /** The start of the attempt: {@link CLEARED_MS} later the tombstone of a clear since then may be gone. */
  readonly startedAt: number;
  readonly number: number;
  readonly failures: number;
  /** The time from now in which no attempt starts. */
  readonly pauseMs: number;
}

/**
 * `superseded`: another attempt takes precedence · `conflict`: other bytes are stored · `cleared`: the credential was cleared. A removal
 * by any other means is no clear.
 */
export type CommitOutcome = 'committed' | 'superseded' | 'conflict' | 'cleared';

export interface EndAttempt extends AttemptName {
  readonly outcome: Exclude<AttemptOutcome, 'running' | 'committed'>;
  readonly number: number;
  readonly failures: number;
  readonly pauseMs: number;
  readonly endsAt: number | undefined;
  readonly oauthError: OAuthErrorCode | undefined;
}

/** The record, the tombstone and the presence of one credential, read in one step. */
export interface AttemptView {
  readonly now: number;
  readonly record: AttemptRecord | undefined;
  /** A newer version of this package has written the record, and only that version understands it. */
  readonly newer?: boolean | undefined;
  /** Whether the key of the credential exists, with any bytes and any type. */
  readonly stored: boolean;
  /**
   * Whether a swap with a `write` found other bytes than those to replace and those to write; `false` for every other swap.
   */
  readonly conflict: boolean;
  /** The instant of the clear; `undefined` without a tombstone, `Infinity` when the instant is not known. */
  readonly clearedAt: number | undefined;
  /** Whether the credential was stored since the clear, which is no logout any longer. The tombstone stays for attempts from before the clear. */
  readonly clearEnded: boolean;
  /** Another value whenever the record, the tombstone or `stored` changes. Does not depend on the credential's bytes. */
  readonly version: string;
}

/** The effects of a verb, carried out in one step. */
export interface AttemptChange {
  /** Kept for {@link RECORD_MS}. */
  readonly record?: AttemptRecord;
  readonly dropTombstone?: boolean;
  /** The new credential; stored if the key is absent, or holds the bytes to replace, or these bytes already. */
  readonly write?: {
    readonly bytes: Buffer;
    readonly ttl: Ttl;
    readonly replaces: { readonly digest: string } | 'absent';
  };
  /** Announced to all watches of the credential. */
  readonly announce?: 'saved' | 'attempt';
}

/** A question for the view, or a change that follows from a view. */
export interface AttemptSwap {
  readonly key: string;
  /** Carried out only while the view still has this version, and without a conflict. */
  readonly change?: AttemptChange & { readonly version: string };
}

/** The instance that makes an attempt. */
export interface AttemptOwner {
  /** The id of this instance in announcements and records: a random UUID. */
  readonly instance: string;
  /** The label of this instance for people. */
  readonly name: string;
}

/** The part of a backend that re-authentication needs: compare-and-set beside a credential. */
export interface AttemptBackend extends AttemptOwner {
  /**
   * Reads the view, or carries a change out while the view is unchanged.
   *
   * @throws UnavailableError, RefusedError (nothing was changed), OutcomeUnknownError (only of a change: call the verb again)
   */
  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'>;
}

/** The TTL of the record of an attempt: longer than any pause between two attempts. */
export const RECORD_MS = 3_600_000;

/** The longest lease, interval and pause that options allow. A record with a longer one is not from this package. */
export const LONGEST_PAUSE_MS = 1_800_000;

/** The TTL of a tombstone. */
export const CLEARED_MS = 3_600_000;

/** The content of a tombstone whose clear has ended. */
export const CLEAR_ENDED = 'ended';

/** Two ends that differ by no more are equal, because each reading of an end is inexact. */
export const SAME_END_MS = 1_000;
