import type { RefusedError, UnavailableError, OutcomeUnknownError } from '../errors.js';

/**
 * Why credentials are needed. `expiring`: their end comes near · `expired`: it has passed · `rejected`: the provider refused them ·
 * `absent`: nothing is stored, and a caller asked · `cleared`: the same after a `clear`, only with `whenCleared: 'authenticate'`.
 *
 * @public
 */
export type ReauthenticationCause = 'expiring' | 'expired' | 'rejected' | 'absent' | 'cleared';

/**
 * The state of a {@link Reauthenticator}; `type` tells. Instants are epoch milliseconds of this machine's clock.
 *
 * @public
 */
export type ReauthenticationState =
  | ReauthenticationIdle
  | ReauthenticationWaiting
  | ReauthenticationAuthenticating
  | ReauthenticationBackingOff
  | ReauthenticationFailed
  | ReauthenticationClosed;

/**
 * There is nothing to do.
 *
 * @public
 */
export interface ReauthenticationIdle {
  /** Tells the states apart. */
  readonly type: 'idle';
}

/**
 * Another instance holds the lease, and its result will come.
 *
 * @public
 */
export interface ReauthenticationWaiting {
  /** Tells the states apart. */
  readonly type: 'waiting';
  /** The instance that holds the lease. */
  readonly instance: string;
  /** Its attempt; counts all attempts at this credential. */
  readonly attempt: number;
  /** When the lease ends, unless it is renewed. */
  readonly until: number;
}

/**
 * This instance holds the lease and is calling `authenticate`, or storing the result.
 *
 * @public
 */
export interface ReauthenticationAuthenticating {
  /** Tells the states apart. */
  readonly type: 'authenticating';
  /** Counts all attempts at this credential. */
  readonly attempt: number;
  /** Why. */
  readonly cause: ReauthenticationCause;
  /** Since when. */
  readonly since: number;
  /** Why Redis has not stored the new credentials; the attempt tries until it does. `undefined` while there was no failure. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * No instance of the cluster tries before `nextAt`; or, with an `error`, this instance got no answer from Redis and will ask again then.
 *
 * @public
 */
export interface ReauthenticationBackingOff {
  /** Tells the states apart. */
  readonly type: 'backing-off';
  /** The last attempt, if one is known. */
  readonly attempt: number | undefined;
  /** How many attempts in a row failed. */
  readonly failures: number;
  /** When the next attempt may start. */
  readonly nextAt: number;
  /** Why Redis gave no answer. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * The last attempt failed for good. No instance tries again before new credentials are saved.
 *
 * @public
 */
export interface ReauthenticationFailed {
  /** Tells the states apart. */
  readonly type: 'failed';
  /** The attempt that failed. */
  readonly attempt: number;
  /** The instance that made it. */
  readonly instance: string;
  /** OAuth's error code, such as `invalid_grant`, if it was one. */
  readonly oauthError: string | undefined;
}

/**
 * `close()` was called.
 *
 * @public
 */
export interface ReauthenticationClosed {
  /** Tells the states apart. */
  readonly type: 'closed';
}

/**
 * The counts of one {@link Reauthenticator} since it was made.
 *
 * @public
 */
export interface ReauthenticationCounts {
  /** Calls of `authenticate`. */
  readonly calls: number;
  /** Of these: new credentials that were stored. */
  readonly committed: number;
  /** Of these: brought the credentials that were stored already. */
  readonly unchanged: number;
  /** Of these: failed and may be tried again. */
  readonly failed: number;
  /** Of these: failed for good. */
  readonly fatal: number;
  /** Of these: not answered within `attemptTimeoutMs`. */
  readonly unanswered: number;
  /** Of these: brought credentials that could not be stored and went to `onDiscarded`. */
  readonly discarded: number;
  /** Attempts that began after another one had ended without an answer. */
  readonly takeovers: number;
  /** Leases that were taken and released because new credentials had been stored meanwhile. */
  readonly needless: number;
}
