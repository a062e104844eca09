import { RefusedError, type OutcomeUnknownError, type UnavailableError } from '../errors.js';
import type { Clock } from '../time/clock.js';
import type { Halt } from './halt.js';

/**
 * Why credentials are needed. `expiring`: their end is near · `expired`: their end has passed · `rejected`: the provider refused them ·
 * `absent`: none are stored, and a caller waits · `cleared`: the same after a `clear`, only with `whenCleared: 'login'`.
 * The first three lead to a call of `refresh`, the others to a call of `login`.
 *
 * @public
 */
export type ReauthenticationCause = 'expiring' | 'expired' | 'rejected' | 'absent' | 'cleared';

/**
 * The state of a {@link Reauthenticator}; `type` discriminates. Instants are epoch milliseconds of this machine's clock.
 *
 * @public
 */
export type ReauthenticationState =
  | ReauthenticationIdle
  | ReauthenticationAbsent
  | ReauthenticationWaiting
  | ReauthenticationAuthenticating
  | ReauthenticationBackingOff
  | ReauthenticationFailed
  | ReauthenticationHalted
  | ReauthenticationClosed;

/**
 * No attempt is needed or under way.
 *
 * @public
 */
export interface ReauthenticationIdle {
  /** Tells the states apart. */
  readonly type: 'idle';
}

/**
 * Nothing is stored, and there is no `login`: calls are rejected until somebody saves credentials. Then everything goes on by itself.
 *
 * @public
 */
export interface ReauthenticationAbsent {
  /** Tells the states apart. */
  readonly type: 'absent';
}

/**
 * Another instance holds the lease, and its result is awaited.
 *
 * @public
 */
export interface ReauthenticationWaiting {
  /** Tells the states apart. */
  readonly type: 'waiting';
  /** The instance that holds the lease. */
  readonly instance: string;
  /** Its label for people, if its record has one. Any client that may write the record may choose it. */
  readonly name: string | undefined;
  /** The number of its attempt, counted over all attempts at this credential. */
  readonly attempt: number;
  /** The end of the lease, unless it is renewed. */
  readonly until: number;
}

/**
 * This instance holds the lease and is calling `refresh` or `login`, or storing the result.
 *
 * @public
 */
export interface ReauthenticationAuthenticating {
  /** Tells the states apart. */
  readonly type: 'authenticating';
  /** The number of this attempt, counted over all attempts at this credential. */
  readonly attempt: number;
  /** The reason to renew. */
  readonly cause: ReauthenticationCause;
  /** The start of the attempt. */
  readonly since: number;
  /** Why Redis has not stored the new credentials; the attempt repeats its commit. `undefined` without a failure. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * No instance starts an attempt before `nextAt`; or, with an `error`, this instance got no reply from Redis, or keeps off an attempt
 * of a newer version of this package, and repeats its request then.
 *
 * @public
 */
export interface ReauthenticationBackingOff {
  /** Tells the states apart. */
  readonly type: 'backing-off';
  /** The number of the last attempt, if one is known. */
  readonly attempt: number | undefined;
  /** The number of failed attempts in a row. */
  readonly failures: number;
  /** The instant from which the next attempt may start. */
  readonly nextAt: number;
  /** Why this instance could not ask for the lease. */
  readonly error: UnavailableError | RefusedError | OutcomeUnknownError | undefined;
}

/**
 * The last attempt was fatal. No instance starts another one before new credentials are saved.
 *
 * @public
 */
export interface ReauthenticationFailed {
  /** Tells the states apart. */
  readonly type: 'failed';
  /** The number of the failed attempt. */
  readonly attempt: number;
  /** The instance that made the attempt. */
  readonly instance: string;
  /** Its label for people, if its record has one. Any client that may write the record may choose it. */
  readonly name: string | undefined;
  /** OAuth's error code, such as `invalid_grant`, if there was one. */
  readonly oauthError: string | undefined;
}

/**
 * This instance makes no attempts, because its last one failed by its own fault. Other instances go on. It ends when new credentials are saved.
 *
 * @public
 */
export interface ReauthenticationHalted {
  /** Tells the states apart. */
  readonly type: 'halted';
  /**
   * `client`: the provider refuses the client as which this instance asks, such as for a wrong client secret · `program`: `refresh` or `login`
   * threw an error that only a mistake in the program causes, or returned something that cannot be stored.
   */
  readonly reason: 'client' | 'program';
  /** The number of the failed attempt. */
  readonly attempt: number;
  /** OAuth's error code, such as `invalid_client`, if there was one. */
  readonly oauthError: string | undefined;
  /** The failure for people: the class of the error and the caller's own line. It quotes no data. */
  readonly failure: string;
  /** The instant of the next try, `maxBackOffMs` after the failure; `undefined` for `program`, because the same program would fail again. */
  readonly nextAt: number | undefined;
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
 * The counts of one {@link Reauthenticator} since its creation.
 *
 * @public
 */
export interface ReauthenticationCounts {
  /** The number of calls of `refresh` and `login`. */
  readonly calls: number;
  /** Calls whose new credentials were stored. */
  readonly committed: number;
  /** Calls that returned the credentials that were stored already. */
  readonly unchanged: number;
  /** Calls that failed and may be repeated. */
  readonly failed: number;
  /** Calls with a fatal failure. */
  readonly fatal: number;
  /** Calls that did not settle within `attemptTimeoutMs`. */
  readonly unanswered: number;
  /** Calls whose credentials could not be stored and went to `onDiscarded`. */
  readonly discarded: number;
  /** Attempts in doubt: the previous attempt had ended without an answer. */
  readonly takeovers: number;
  /** Leases released without a call, because new credentials had been stored meanwhile. */
  readonly needless: number;
}

// One object for each, because a state that is the same object is not shown again.
export const idle: ReauthenticationIdle = { type: 'idle' };
export const absent: ReauthenticationAbsent = { type: 'absent' };

/** The error that keeps an attempt from starting, or its result from being stored. */
export function errorIn(state: ReauthenticationState): Error | undefined {
  return 'error' in state ? state.error : undefined;
}

/** The replies that no later attempt changes, until somebody mends the rights or the server. */
const OF_SET_UP: readonly string[] = ['NOPERM', 'ERR'];

/** The refusal of Redis to begin attempts at all, while this instance backs off because of it. */
export function refusalIn(state: ReauthenticationState): RefusedError | undefined {
  if (state.type !== 'backing-off') return undefined;
  const { error } = state;
  return error instanceof RefusedError && OF_SET_UP.includes(error.reply) ? error : undefined;
}

/** The state of an instance that makes no attempts. */
export function haltedState(
  { reason, attempt, oauthError, failure, until }: Halt,
  clock: Clock,
): ReauthenticationHalted {
  const nextAt = until === Infinity ? undefined : clock.now() + until - clock.monotonic();
  return { type: 'halted', reason, attempt, oauthError, failure, nextAt };
}
