import type { Ttl } from './ttl.js';

/*
 * The seam for doing something once per cluster: the right of one node to re-authenticate a credential (the lease), and the record that it
 * started, which outlives the lease. Every verb is idempotent by the attempt's `id`, so that one whose answer was lost is simply said again.
 * Nothing in it is secret. All instants are the server's.
 */

/** How an attempt stands or ended. `unanswered`: its deadline passed, and what came of it is in doubt. */
export type AttemptOutcome =
  | 'running'
  | 'committed'
  | 'unchanged'
  | 'needless'
  | 'failed'
  | 'fatal'
  | 'unanswered'
  | 'discarded';

/** The last attempt at one credential, as it is stored. */
export interface AttemptRecord {
  readonly id: string;
  readonly node: string;
  /** Counts the attempts at this credential, from 1. */
  readonly number: number;
  readonly startedAt: number;
  /** Nobody else starts before, while the attempt is running. */
  readonly leaseEndsAt: number;
  readonly outcome: AttemptOutcome;
  /** How many attempts in a row brought nothing. */
  readonly failures: number;
  /** Nobody starts before. */
  readonly notBefore: number;
  /** An attempt before this one ended without an answer, and since then none has succeeded. */
  readonly inDoubt?: boolean | undefined;
  /** It was written anew after all data were lost, the credential with it. */
  readonly lost?: boolean | undefined;
  /**
   * It started where nothing at all was known: no credential, no attempt, no clear. Whoever had started before lost all data by then; this
   * one could not know of them, and does not stand in their way.
   */
  readonly blank?: boolean | undefined;
  /** The attempt whose result was stored last. Should its holder not have heard of that, it is told when it asks again. */
  readonly committed?: string | undefined;
  /** The end of the credential that it was about, in digits; absent for none. */
  readonly endsAt?: string | undefined;
  /** A code for what went wrong, such as `invalid_grant`. */
  readonly oauthError?: string | undefined;
}

/** Names one attempt at one credential. */
export interface AttemptName {
  readonly key: string;
  readonly id: string;
}

export interface StartAttempt extends AttemptName {
  readonly leaseMs: number;
  /** How long after this start nobody starts again. */
  readonly minIntervalMs: number;
  /** The end of the credential that the attempt is about. */
  readonly endsAt: number | undefined;
  /** A clear before this instant does not stand in the way: the credential was stored since. `Infinity`: none does. */
  readonly clearedBefore: number | undefined;
}

export type AttemptStart =
  | { readonly type: 'started'; readonly record: AttemptRecord }
  /** Another one is running (`held`), it is too early, or the last one failed for good; `leftMs` from now one may try again. */
  | {
      readonly type: 'held' | 'early' | 'fatal';
      readonly record: AttemptRecord;
      readonly leftMs: number;
    }
  | { readonly type: 'cleared' };

export interface RenewAttempt extends AttemptName {
  readonly leaseMs: number;
  /** What to write down anew where the record was lost with all other data. */
  readonly number: number;
  readonly failures: number;
  /** Whether this attempt itself is a blank one. */
  readonly blank: boolean;
}

/** `superseded`: another one started later, which is not blank, or both are · `ended`: it has been given up or used. */
export type RenewOutcome = 'held' | 'superseded' | 'ended';

export interface CommitAttempt extends AttemptName {
  readonly bytes: Buffer;
  /** Milliseconds, or `'keep'`: those that are left, or `'none'`. */
  readonly ttl: Ttl;
  /** The stored bytes that the attempt started from. */
  readonly expected: { readonly digest: string } | 'absent';
  /** When the server was to drop the bytes that it started from: gone after that they were not cleared. */
  readonly expectedTtlEnd: number | undefined;
  /** The bytes that it started from were evicted. */
  readonly evicted: boolean;
  /** Whether this attempt itself is a blank one. */
  readonly blank: boolean;
  /** When the attempt started: longer ago than {@link CLEARED_MS}, nobody knows any more whether it was cleared since. */
  readonly startedAt: number;
  readonly number: number;
  readonly failures: number;
  /** For how long from now nobody starts again. */
  readonly pauseMs: number;
}

/**
 * `superseded`: another one started later, which is not blank, or both are · `conflict`: other bytes are stored · `cleared`: what it started
 * from was removed on purpose.
 */
export type CommitOutcome = 'committed' | 'superseded' | 'conflict' | 'cleared';

export interface EndAttempt extends AttemptName {
  readonly outcome: Exclude<AttemptOutcome, 'running' | 'committed'>;
  readonly number: number;
  readonly failures: number;
  readonly pauseMs: number;
  readonly endsAt: number | undefined;
  readonly oauthError: string | undefined;
}

/** The attempts at credentials, in the place where these are kept. */
export interface AttemptBackend {
  /** How long an answer may take at most, in milliseconds. */
  replyTimeoutMs(): number;
  /** @throws UnavailableError, RefusedError, OutcomeUnknownError (say it again) */
  start(request: StartAttempt): Promise<AttemptStart>;
  /**
   * Prolongs the lease.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError (say it again)
   */
  renew(request: RenewAttempt): Promise<RenewOutcome>;
  /**
   * Stores what the attempt brought, in one step with: nobody has started after it, and the key still holds what it started from, or
   * lost that without anybody wanting it.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError (say it again)
   */
  commit(request: CommitAttempt): Promise<CommitOutcome>;
  /**
   * Gives up the lease and tells all who wait what became of the attempt. Does nothing for one that has been superseded or is committed.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError (say it again)
   */
  end(request: EndAttempt): Promise<void>;
  /**
   * Takes back that this attempt failed for good, because new credentials were stored.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError (say it again)
   */
  absolve(name: AttemptName): Promise<void>;
}

/** How long the record of an attempt is kept. Longer than any pause between two attempts. */
export const RECORD_MS = 3_600_000;

/** How long it is remembered that a credential was cleared on purpose. */
export const CLEARED_MS = 3_600_000;

/** Two ends that differ by no more are one, read through clocks that wobble. */
export const SAME_END_MS = 1_000;
