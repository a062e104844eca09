import { LONGEST_PAUSE_MS } from '../backend/attempts.js';
import type { BackOff } from '../time/back-off.js';
import { InvalidOptionError } from '../errors.js';
import { checkFunction, checkMs, checkNames, describeType } from '../util/option-checks.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { fatalCode } from './fatal-errors.js';
import type { ReauthenticationCause } from './state.js';

/**
 * What `authenticate` is called with. `previous` are the credentials that are stored, read under the lease: they hold the refresh token.
 *
 * @public
 */
export type AuthenticateRequest<T> = {
  /** Counts all attempts at this credential, in the whole cluster. */
  readonly attempt: number;
  /** Aborts when another node has started meanwhile, at `attemptTimeoutMs`, and when closing takes longer than `drainMs`. */
  readonly signal: AbortSignal;
  /**
   * Whether the attempt before this one ended without an answer: its holder died, or took too long. What it spent (a rotating refresh token)
   * may be spent.
   */
  readonly inDoubt: boolean;
} & (
  | {
      /** Why new credentials are needed. */
      readonly cause: Extract<ReauthenticationCause, 'expiring' | 'expired' | 'rejected'>;
      /** The credentials that are stored. */
      readonly previous: T;
      /** What was given to `reject`. */
      readonly reason: string | undefined;
    }
  | {
      /** Why new credentials are needed. */
      readonly cause: Extract<ReauthenticationCause, 'absent' | 'cleared'>;
      /** Nothing is stored. */
      readonly previous: undefined;
      /** There is none. */
      readonly reason: undefined;
    }
);

/**
 * Why new credentials were not stored. `superseded`: another node started later · `conflict`: other credentials were saved meanwhile ·
 * `cleared`: the credential was cleared meanwhile · `unusable`: they could not be serialized or read back · `closed`: the reauthenticator was
 * closed before they could be stored · `unknown`: it was closed, and the answer that says whether they were stored had not come. They may
 * be the ones in use: do not revoke these.
 *
 * @public
 */
export type DiscardReason =
  'superseded' | 'conflict' | 'cleared' | 'unusable' | 'closed' | 'unknown';

/**
 * Options of a {@link Reauthenticator}. Those that concern the cluster (`leaseMs`, `minIntervalMs`, back-off) should be the same on all nodes.
 *
 * @public
 */
export interface ReauthenticatorOptions<T> {
  /**
   * Gets new credentials from the provider. Called by one node of the cluster at a time. May throw: see `isFatal`. Must not wait for this
   * reauthenticator's `credentials()`, which wait for it.
   */
  readonly authenticate: (request: AuthenticateRequest<T>) => T | PromiseLike<T>;
  /**
   * How long before their end credentials are replaced, in milliseconds from 0; at most half of the time that they have when first seen.
   * Default 60,000. Earlier costs more calls and leaves more time for failures. Not together with `leadFraction`.
   */
  readonly leadMs?: number | undefined;
  /** The same as a share of the time that they have when first seen, from 0 to 0.5. */
  readonly leadFraction?: number | undefined;
  /** By up to which share of the lead a node begins later, at random, so that not all begin at once; from 0 to 1. Default 0.1. */
  readonly jitter?: number | undefined;
  /**
   * How long one node may keep the right to authenticate without renewing it, in milliseconds from 100; it renews at a third. Default
   * 15,000. Shorter takes over earlier from a node that died, and gives up a node that is paused earlier.
   */
  readonly leaseMs?: number | undefined;
  /** How long one call of `authenticate` may take, in milliseconds from 10. Default 30,000. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Shortest time from the start of one attempt to that of the next, in milliseconds from 10. Default 1,000. */
  readonly minIntervalMs?: number | undefined;
  /** Pause after the first failure, in milliseconds from 10; doubles with each. Default 1,000. */
  readonly backOffMs?: number | undefined;
  /** Longest pause between attempts, in milliseconds from `backOffMs` to 1,800,000. Default 60,000. */
  readonly maxBackOffMs?: number | undefined;
  /** How long `credentials()`, `snapshot()` and `use()` wait, in milliseconds from 1, `Infinity` for ever. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** How long `close()` lets an attempt under way finish, in milliseconds from 0. Default 10,000. */
  readonly drainMs?: number | undefined;
  /**
   * Whether trying again with the same credentials is useless. Default: when the error carries one of OAuth's final codes, such as
   * `invalid_grant`, in one of the places where client libraries put it.
   */
  readonly isFatal?: ((error: unknown) => boolean) | undefined;
  /** What demand does after the credential was cleared: reject (`stay`, so that a logout stays one), or authenticate. Default `stay`. */
  readonly whenCleared?: 'stay' | 'authenticate' | undefined;
  /**
   * Gets new credentials that were not stored, so that they can be revoked.
   */
  readonly onDiscarded?: ((credentials: T, reason: DiscardReason) => unknown) | undefined;
  /** Gets what `authenticate` threw, on the node that called it; for a log of the caller's own. Default: nothing; see `state$`. */
  readonly onFailure?: ((error: unknown, fatal: boolean) => unknown) | undefined;
}

/**
 * Options of `credentials()` and `snapshot()`.
 *
 * @public
 */
export interface CredentialsOptions {
  /** How long the credentials must stay valid, in milliseconds from 0. Default 0. */
  readonly minValidityMs?: number | undefined;
  /** Stops waiting. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds; default the reauthenticator's `timeoutMs`. `Infinity`: without end. */
  readonly timeoutMs?: number | undefined;
}

/**
 * What the function given to `use()` gets beside the credentials.
 *
 * @public
 */
export interface UseContext<T> {
  /** The credentials with their end, and what `reject` needs. */
  readonly snapshot: CredentialSnapshot<T>;
  /** Aborts when the credentials are withdrawn, or with the caller's own signal. */
  readonly signal: AbortSignal;
}

/**
 * Options of `use()`.
 *
 * @public
 */
export interface UseOptions extends CredentialsOptions {
  /**
   * Whether an error thrown by the function, or else its result, says that the credentials were refused. Default: when it has a `status`,
   * `statusCode` or `response.status` of 401.
   */
  readonly rejected?: ((outcome: unknown) => boolean) | undefined;
}

export interface ResolvedReauthenticatorOptions<T> {
  readonly authenticate: (request: AuthenticateRequest<T>) => T | PromiseLike<T>;
  readonly lead: { readonly ms: number } | { readonly fraction: number };
  readonly jitter: number;
  readonly leaseMs: number;
  readonly attemptTimeoutMs: number;
  readonly minIntervalMs: number;
  readonly backOff: BackOff;
  readonly timeoutMs: number;
  readonly drainMs: number;
  readonly isFatal: (error: unknown) => boolean;
  readonly whenCleared: 'stay' | 'authenticate';
  readonly onDiscarded: ((credentials: T, reason: DiscardReason) => unknown) | undefined;
  readonly onFailure: ((error: unknown, fatal: boolean) => unknown) | undefined;
}

const NAMES = [
  'authenticate',
  'leadMs',
  'leadFraction',
  'jitter',
  'leaseMs',
  'attemptTimeoutMs',
  'minIntervalMs',
  'backOffMs',
  'maxBackOffMs',
  'timeoutMs',
  'drainMs',
  'isFatal',
  'whenCleared',
  'onDiscarded',
  'onFailure',
];

/** Checks everything at once and fills in defaults. @throws InvalidOptionError */
export function resolveReauthenticatorOptions<T>(
  options: ReauthenticatorOptions<T>,
): ResolvedReauthenticatorOptions<T> {
  checkNames(options, NAMES);
  if (typeof options.authenticate !== 'function') {
    const kind = describeType(options.authenticate);
    throw new InvalidOptionError('authenticate', `must be a function, not ${kind}`);
  }
  for (const name of ['isFatal', 'onDiscarded', 'onFailure'] as const) {
    checkFunction(options[name], name);
  }
  // Defaults are for what is left out; `null` is a mistake like any other.
  const {
    jitter = 0.1,
    leaseMs = 15_000,
    attemptTimeoutMs = 30_000,
    minIntervalMs = 1_000,
    backOffMs = 1_000,
    timeoutMs = 30_000,
    drainMs = 10_000,
    isFatal = (error) => fatalCode(error) !== undefined,
    whenCleared = 'stay',
  } = options;
  if (!['stay', 'authenticate'].includes(whenCleared))
    throw new InvalidOptionError('whenCleared', "must be 'stay' or 'authenticate'");
  const initialMs = checkMs(backOffMs, 'backOffMs', 10, LONGEST_PAUSE_MS);
  const { maxBackOffMs = Math.max(60_000, initialMs) } = options;
  return {
    authenticate: options.authenticate,
    lead: resolveLead(options),
    jitter: checkShare(jitter, 'jitter', 1),
    leaseMs: checkMs(leaseMs, 'leaseMs', 100, LONGEST_PAUSE_MS),
    attemptTimeoutMs: checkMs(attemptTimeoutMs, 'attemptTimeoutMs', 10, LONGEST_PAUSE_MS),
    minIntervalMs: checkMs(minIntervalMs, 'minIntervalMs', 10, LONGEST_PAUSE_MS),
    backOff: {
      initialMs,
      maxMs: checkMs(maxBackOffMs, 'maxBackOffMs', initialMs, LONGEST_PAUSE_MS),
    },
    timeoutMs: checkMs(timeoutMs, 'timeoutMs', 1, Infinity),
    drainMs: checkMs(drainMs, 'drainMs', 0),
    isFatal,
    whenCleared,
    onDiscarded: options.onDiscarded,
    onFailure: options.onFailure,
  };
}

function resolveLead(options: Pick<ReauthenticatorOptions<never>, 'leadMs' | 'leadFraction'>) {
  const { leadMs = 60_000, leadFraction } = options;
  if (leadFraction === undefined) return { ms: checkMs(leadMs, 'leadMs', 0) };
  if (options.leadMs !== undefined)
    throw new InvalidOptionError('leadFraction', 'cannot be given together with leadMs');
  return { fraction: checkShare(leadFraction, 'leadFraction', 0.5) };
}

function checkShare(value: unknown, option: string, max: number): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value;
  throw new InvalidOptionError(option, `must be a number from 0 to ${String(max)}`);
}
