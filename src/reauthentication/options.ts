import { LONGEST_PAUSE_MS } from '../backend/attempts.js';
import type { BackOff } from '../time/back-off.js';
import { InvalidOptionError } from '../errors.js';
import { checkMs } from '../util/option-checks.js';
import {
  callback,
  ms,
  requiredFunction,
  resolveOptions,
  share,
  signal,
  word,
  type OptionsTable,
  type Resolved,
} from '../util/options.js';
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
  /** Aborts when another instance has started meanwhile, at `attemptTimeoutMs`, and when closing takes longer than `drainMs`. */
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

/** Those that are undefined when they are left out. */
export type ReauthenticatorOptionsOpen = 'leadFraction' | 'onDiscarded' | 'onFailure';

export interface ResolvedReauthenticatorOptions<T> extends Omit<
  Resolved<ReauthenticatorOptions<T>, ReauthenticatorOptionsOpen>,
  'leadMs' | 'leadFraction' | 'backOffMs' | 'maxBackOffMs'
> {
  readonly lead: { readonly ms: number } | { readonly fraction: number };
  readonly backOff: BackOff;
}

/** The options of a `Reauthenticator`. */
export const REAUTHENTICATOR_OPTIONS: OptionsTable<
  ReauthenticatorOptions<unknown>,
  ReauthenticatorOptionsOpen
> = {
  authenticate: requiredFunction(
    'One instance of the whole cluster calls it at a time. It must not wait for `credentials()` of the same reauthenticator, which wait for it.',
  ),
  leadMs: ms({
    default: 60_000,
    min: 0,
    cost: 'A longer lead leaves more time for failures, and asks the provider more often. At most half of the lifetime is taken. `0` waits for the end.',
  }),
  leadFraction: share({
    default: undefined,
    max: 0.5,
    cost: 'The same as a share of the lifetime: right where lifetimes differ. Not together with `leadMs`.',
  }),
  jitter: share({
    default: 0.1,
    max: 1,
    cost: '`0` lets all instances ask for the lease at the same moment: as many commands at once as there are instances, still one call.',
  }),
  leaseMs: ms({
    default: 15_000,
    min: 100,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter lease takes over earlier from an instance that died, and gives up an instance that is only paused earlier. At least one and a half times `replyTimeoutMs`.',
  }),
  attemptTimeoutMs: ms({
    default: 30_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter time gives up a slow provider earlier, and the successor is in doubt. A longer time keeps callers waiting that need new credentials.',
  }),
  minIntervalMs: ms({
    default: 1_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter interval lets credentials that are refused at once be replaced faster, and a provider that hands out refused ones be asked faster.',
  }),
  backOffMs: ms({
    default: 1_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'Pause of the cluster after the first failure; each failure doubles it. A shorter pause recovers sooner, and burdens a provider that is down.',
  }),
  maxBackOffMs: ms({
    default: 60_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'Longest pause, never below `backOffMs`. A longer pause notices later that the provider is back.',
  }),
  timeoutMs: ms({
    default: 30_000,
    max: Infinity,
    cost: 'Bounds how long callers wait. A shorter time fails requests sooner while the provider is slow. `Infinity` leaves it to the signal of the caller.',
  }),
  drainMs: ms({
    default: 10_000,
    min: 0,
    cost: 'Bounds how long `close()` lets an attempt finish. A shorter time ends sooner and may lose a refresh token that the provider has just issued.',
  }),
  isFatal: callback({
    default: (error: unknown) => fatalCode(error) !== undefined,
    shown: "OAuth's final codes",
    cost: 'A function that is too strict stops the cluster until somebody logs in. A function that is too mild asks the provider without end.',
  }),
  whenCleared: word({
    default: 'stay',
    of: ['stay', 'authenticate'],
    cost: '`authenticate` lets a caller that asks after a logout get new credentials: right only where no person has to log in.',
  }),
  onDiscarded: callback({
    default: undefined,
    cost: 'Without it credentials that were not stored are dropped, and stay valid at the provider until they end.',
  }),
  onFailure: callback({
    default: undefined,
    cost: 'Gets what `authenticate` threw, which may hold a secret. Without it only `state$` and `counts` tell of failures.',
  }),
};

/** Checks everything at once and fills in defaults. @throws InvalidOptionError */
export function resolveReauthenticatorOptions<T>(
  options: ReauthenticatorOptions<T>,
): ResolvedReauthenticatorOptions<T> {
  const { leadMs, leadFraction, backOffMs, maxBackOffMs, ...rest } = resolveOptions<
    ReauthenticatorOptions<T>,
    ReauthenticatorOptionsOpen
  >(REAUTHENTICATOR_OPTIONS, options);
  if (leadFraction !== undefined && options.leadMs !== undefined)
    throw new InvalidOptionError('leadFraction', 'cannot be given together with leadMs');
  if (options.maxBackOffMs !== undefined)
    checkMs(maxBackOffMs, 'maxBackOffMs', backOffMs, LONGEST_PAUSE_MS);
  return {
    ...rest,
    lead: leadFraction === undefined ? { ms: leadMs } : { fraction: leadFraction },
    backOff: { initialMs: backOffMs, maxMs: Math.max(maxBackOffMs, backOffMs) },
  };
}

/** The options of `credentials()` and `snapshot()`. */
export const CREDENTIALS_OPTIONS: OptionsTable<CredentialsOptions, 'signal' | 'timeoutMs'> = {
  minValidityMs: ms({
    default: 0,
    min: 0,
    cost: 'A longer time makes callers wait for new credentials that could still use the old ones.',
  }),
  signal: signal('Stops waiting.'),
  timeoutMs: ms({
    default: undefined,
    shown: '`timeoutMs`',
    max: Infinity,
    cost: 'As `timeoutMs` of the `Reauthenticator`, for this call.',
  }),
};

/** The options of `use()`. */
export const USE_OPTIONS: OptionsTable<UseOptions, 'signal' | 'timeoutMs' | 'rejected'> = {
  ...CREDENTIALS_OPTIONS,
  rejected: callback({
    default: undefined,
    shown: 'status 401',
    cost: 'Without it an error or a result with a `status`, `statusCode` or `response.status` of 401 says that the credentials were refused.',
  }),
};
