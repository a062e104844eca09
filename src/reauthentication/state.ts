import type { RefusedError, UnavailableError, OutcomeUnknownError } from '../errors.js';

/**
 * Why credentials are needed. `expiring`: their end comes near · `expired`: it has passed · `rejected`: somebody was refused with them ·
 * `absent`: nothing is stored, and somebody asked · `cleared`: the same after a `clear`, only with `whenCleared: 'authenticate'`.
 *
 * @public
 */
export type ReauthenticationCause = 'expiring' | 'expired' | 'rejected' | 'absent' | 'cleared';

/**
 * What a {@link Reauthenticator} is doing; `type` tells. Instants are epoch milliseconds of this machine's clock.
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
 * Another node holds the lease; its result will come from there.
 *
 * @public
 */
export interface ReauthenticationWaiting {
  /** Tells the states apart. */
  readonly type: 'waiting';
  /** The node that holds the lease. */
  readonly instance: string;
  /** Its attempt; counts all attempts at this credential. */
  readonly attempt: number;
  /** When the lease ends, unless it is renewed. */
  readonly until: number;
}

/**
 * This node holds the lease and is calling `authenticate`, or storing what that brought.
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
  /** Why Redis has not taken the new credentials; it is tried again until it does. `undefined` before there was a reason. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * Nobody in the cluster tries before `nextAt`; or, with an `error`, this node could not ask Redis and will try again then.
 *
 * @public
 */
export interface ReauthenticationBackingOff {
  /** Tells the states apart. */
  readonly type: 'backing-off';
  /** The last attempt, if one is known. */
  readonly attempt: number | undefined;
  /** How many attempts in a row brought nothing. */
  readonly failures: number;
  /** When it is tried again. */
  readonly nextAt: number;
  /** Why Redis could not be asked. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * The last attempt failed for good. Nobody tries again before new credentials are saved.
 *
 * @public
 */
export interface ReauthenticationFailed {
  /** Tells the states apart. */
  readonly type: 'failed';
  /** The attempt that failed. */
  readonly attempt: number;
  /** The node that made it. */
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
 * What one {@link Reauthenticator} has counted since it was made.
 *
 * @public
 */
export interface ReauthenticationCounts {
  /** Calls of `authenticate`. */
  readonly calls: number;
  /** Of these: new credentials that were stored. */
  readonly committed: number;
  /** Of these: brought what was stored already. */
  readonly unchanged: number;
  /** Of these: failed and may be tried again. */
  readonly failed: number;
  /** Of these: failed for good. */
  readonly fatal: number;
  /** Of these: not answered within `attemptTimeoutMs`. */
  readonly unanswered: number;
  /** Of these: brought what could not be stored and went to `onDiscarded`. */
  readonly discarded: number;
  /** Attempts that began after another one had ended without an answer. */
  readonly takeovers: number;
  /** Leases that were taken and given back because somebody else had stored new credentials meanwhile. */
  readonly needless: number;
}
