import type { Ttl } from './ttl.js';

/*
 * The words for doing something once per cluster: the right of one instance to re-authenticate a credential (the lease), and the record that
 * the attempt started, which outlives the lease. Every verb is idempotent by the attempt's `id`, so that a verb whose answer was lost is said
 * again. Nothing here is secret. All instants are whole milliseconds of the server's clock, but for the ends of credentials.
 *
 * A backend reads and swaps (`AttemptBackend`); the rules are in `attempt-rules.ts`, the loop between them is `AttemptVerbs`.
 */

/**
 * OAuth's answers (RFC 6749 section 5.2, RFC 8628, OpenID Connect) that the same request will get again: only other credentials, another client
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

/** How an attempt stands or ended. `unanswered`: its deadline passed, and what came of it is in doubt. */
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
  /** Counts the attempts at this credential, from 1. */
  readonly number: number;
  readonly startedAt: number;
  /** No other attempt starts before, while this one is running. */
  readonly leaseEndsAt: number;
  readonly outcome: AttemptOutcome;
  /** How many attempts in a row brought nothing. */
  readonly failures: number;
  /** No attempt starts before. */
  readonly notBefore: number;
  /** An attempt before this one ended without an answer, and since then none has succeeded. */
  readonly inDoubt?: boolean | undefined;
  /** The record was written anew after all data were lost, the credential with it. */
  readonly recordLost?: boolean | undefined;
  /**
   * The attempt started where nothing at all was known: no credential, no attempt, no clear. An attempt from before the loss was unknown to it,
   * and takes precedence.
   */
  readonly startedFromNothing?: boolean | undefined;
  /** The attempt whose result was stored last: its holder may not have heard of that, and asks again. */
  readonly committed?: string | undefined;
  /** The end of the credential that the attempt was about; absent for none. */
  readonly endsAt?: number | undefined;
  /** A code for the failure, such as `invalid_grant`. */
  readonly oauthError?: OAuthErrorCode | undefined;
}

/** Names one attempt at one credential. */
export interface AttemptName {
  readonly key: string;
  readonly id: string;
}

export interface StartAttempt extends AttemptName {
  readonly leaseMs: number;
  /** How long after this start no other attempt starts. */
  readonly minIntervalMs: number;
  /** The end of the credential that the attempt is about. */
  readonly endsAt: number | undefined;
  /** A clear before this instant does not stand in the way: the credential was stored since. `Infinity`: none does. */
  readonly clearedBefore: number | undefined;
}

export type AttemptStart =
  | { readonly type: 'started'; readonly record: AttemptRecord }
  /** Another attempt is running (`held`), it is too early, or the last one failed for good; after `leftMs` a start may succeed. */
  | {
      readonly type: 'held' | 'early' | 'fatal';
      readonly record: AttemptRecord;
      readonly leftMs: number;
    }
  | { readonly type: 'cleared' };

export interface RenewAttempt extends AttemptName {
  readonly leaseMs: number;
  /** Written down anew where the record was lost with all other data. */
  readonly number: number;
  readonly failures: number;
  /** As this attempt's record said at its start. */
  readonly startedFromNothing: boolean;
}

/** `superseded`: another attempt takes precedence · `ended`: this one has been given up or used. */
export type RenewOutcome = 'held' | 'superseded' | 'ended';

export interface CommitAttempt extends AttemptName {
  readonly bytes: Buffer;
  /** Milliseconds, or `'keep'`: those that are left, or `'none'`. */
  readonly ttl: Ttl;
  /** The stored bytes that the attempt started from. */
  readonly expected: { readonly digest: string } | 'absent';
  /** When the server was to drop the bytes that the attempt started from: bytes that are gone after that were not cleared. */
  readonly expectedTtlEnd: number | undefined;
  /** The bytes that the attempt started from were evicted. */
  readonly evicted: boolean;
  /** As this attempt's record said at its start. */
  readonly startedFromNothing: boolean;
  /** When the attempt started: after {@link CLEARED_MS} a clear since then may be forgotten. */
  readonly startedAt: number;
  readonly number: number;
  readonly failures: number;
  /** For how long from now no attempt starts. */
  readonly pauseMs: number;
}

/**
 * `superseded`: another attempt takes precedence · `conflict`: other bytes are stored · `cleared`: the bytes that the attempt started from were
 * removed on purpose.
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

/** The content beside one credential, read in one step. */
export interface AttemptView {
  readonly now: number;
  readonly record: AttemptRecord | undefined;
  /** Whether the credential is stored, as whatever bytes or type. */
  readonly stored: boolean;
  /**
   * The answer to a swap that was to write the credential, while the key holds neither the bytes to replace nor those to write; `false` in an
   * answer to anything else.
   */
  readonly conflict: boolean;
  /** When the credential was cleared on purpose; `undefined` when no clear is remembered, `Infinity` when its instant is not known. */
  readonly clearedAt: number | undefined;
  /** Changes when the record, the tombstone, or `stored` does. Tells nothing of the credential's bytes. */
  readonly version: string;
}

/** The effects of a verb, all in one step. */
export interface AttemptChange {
  /** Kept for {@link RECORD_MS}. */
  readonly record?: AttemptRecord;
  readonly dropTombstone?: boolean;
  /** The credential, if the key is absent, or holds the bytes to replace, or these bytes already. */
  readonly write?: {
    readonly bytes: Buffer;
    readonly ttl: Ttl;
    readonly replaces: { readonly digest: string } | 'absent';
  };
  /** Told to all who watch the credential. */
  readonly announce?: 'saved' | 'attempt';
}

/** A question for the view, or a change that follows from a view. */
export interface AttemptSwap {
  readonly key: string;
  /** Carried out only while the view still has this version, and nothing is in conflict. */
  readonly change?: AttemptChange & { readonly version: string };
}

/** The part of a backend that re-authentication needs: compare-and-set beside a credential. */
export interface AttemptBackend {
  /** Names this process in announcements and records: a random UUID. */
  readonly instance: string;
  /**
   * Reads the view, or changes it if it is unchanged.
   *
   * @throws UnavailableError, RefusedError (nothing was changed), OutcomeUnknownError (only of a change: say the verb again)
   */
  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'>;
}

/** How long the record of an attempt is kept. Longer than any pause between two attempts. */
export const RECORD_MS = 3_600_000;

/** The longest lease, interval and pause that options allow. A record that says more was not written by this package. */
export const LONGEST_PAUSE_MS = 1_800_000;

/** How long it is remembered that a credential was cleared on purpose. */
export const CLEARED_MS = 3_600_000;

/** Two ends that differ by no more are one, read through clocks that wobble. */
export const SAME_END_MS = 1_000;
