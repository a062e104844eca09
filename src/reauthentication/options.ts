import { LONGEST_PAUSE_MS } from '../backend/attempts.js';
import type { BackOff } from '../time/back-off.js';
import { InvalidOptionError } from '../errors.js';
import { checkBoolean, checkMs } from '../util/option-checks.js';
import {
  callback,
  ms,
  option,
  requiredFunction,
  resolveOptions,
  share,
  signal,
  word,
  type OptionsTable,
  type Resolved,
} from '../util/options.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { refusalOf } from './judgment/refusal.js';

/**
 * The part that {@link RefreshRequest} and {@link LoginRequest} have in common.
 *
 * @public
 */
export interface AttemptRequest {
  /** The number of this attempt at the credential, counted over all instances. */
  readonly attempt: number;
  /** Aborts when another instance has started meanwhile, at `attemptTimeoutMs`, and when `close()` takes longer than `drainMs`. */
  readonly signal: AbortSignal;
  /**
   * Whether the previous attempt ended without an answer: its instance died, or took too long. A rotating refresh token that it used may be
   * spent.
   */
  readonly inDoubt: boolean;
  /**
   * The instant so many seconds from now, in epoch milliseconds of the Redis server's clock, by which all ends are judged. Make the end of new
   * credentials with this function (`expiresAt: endsIn(answer.expires_in)`), and a wrong wall clock of this machine does not matter.
   *
   * @param seconds - a finite number
   * @throws InvalidOptionError
   */
  readonly endsIn: (seconds: number) => number;
}

/**
 * The argument of `refresh`; `cause` discriminates. `previous` holds the stored credentials, read under the lease, with the refresh token.
 *
 * @public
 */
export type RefreshRequest<T> = AttemptRequest & {
  /** The stored credentials. */
  readonly previous: T;
} & (
    | {
        /** The end is near, or a caller needs credentials that stay valid for longer. */
        readonly cause: 'expiring';
        /** Only a rejection has a reason. */
        readonly reason: undefined;
      }
    | {
        /** The end has passed. */
        readonly cause: 'expired';
        /** Only a rejection has a reason. */
        readonly reason: undefined;
      }
    | {
        /** The provider refused the credentials. */
        readonly cause: 'rejected';
        /** The `reason` given to `reject`. */
        readonly reason: string | undefined;
      }
  );

/**
 * The argument of `login`; `cause` discriminates. No credentials are stored, so there is no `previous`.
 *
 * @public
 */
export type LoginRequest = AttemptRequest &
  (
    | {
        /** Nothing is stored, and a caller waits. */
        readonly cause: 'absent';
      }
    | {
        /** The same after a `clear`, only with `whenCleared: 'login'`. */
        readonly cause: 'cleared';
      }
  );

/**
 * Why new credentials were not stored. `superseded`: another instance started later · `conflict`: other credentials were saved meanwhile ·
 * `cleared`: the credential was cleared meanwhile · `unusable`: the credentials could not be serialized or read back · `closed`: the
 * reauthenticator was closed before the commit · `unknown`: the reauthenticator was closed before the reply to the commit. These credentials
 * may be in use: do not revoke them.
 *
 * @public
 */
export type DiscardReason =
  'superseded' | 'conflict' | 'cleared' | 'unusable' | 'closed' | 'unknown';

/**
 * Options of a {@link Reauthenticator}. `leaseMs`, `minIntervalMs` and the back-off should be the same in all instances.
 *
 * @public
 */
export interface ReauthenticatorOptions<T> {
  /**
   * Replaces the stored credentials, `previous`, by new ones from the provider. Called by one instance at a time. May throw: see `isFatal`.
   * Must not wait for `credentials()` of this reauthenticator, which wait for this function.
   */
  // The compiler compares promises with promises in a few words; with `PromiseLike` alone its message lists the signatures of `then`.
  readonly refresh: (request: RefreshRequest<T>) => T | Promise<T> | PromiseLike<T>;
  /**
   * Gets the first credentials when none are stored and a caller waits, under the same rules as `refresh`. For credentials that any instance
   * may get by itself, such as client credentials; then it may be the same function as `refresh`. Default: none, where a person has to log
   * in: calls reject at once (`absent`) until somebody saves credentials.
   */
  readonly login?: ((request: LoginRequest) => T | Promise<T> | PromiseLike<T>) | undefined;
  /**
   * How long before their end credentials are replaced, in milliseconds from 0; at most half of the lifetime that they have at the first
   * observation. Default 60,000. A longer lead costs more calls and leaves more time for failures. Not together with `leadFraction`.
   */
  readonly leadMs?: number | undefined;
  /** The lead as a share of the lifetime at the first observation, from 0 to 0.5. */
  readonly leadFraction?: number | undefined;
  /** The largest share of the lead by which an instance begins later, at random, so that not all begin at once; from 0 to 1. Default 0.1. */
  readonly jitter?: number | undefined;
  /**
   * How long one instance holds the lease without a renewal, in milliseconds from 100; the lease is renewed at a third of this time. Default
   * 15,000. A shorter lease takes over earlier from an instance that died, and gives up a paused instance earlier.
   */
  readonly leaseMs?: number | undefined;
  /** How long one call of `refresh` or `login` may take, in milliseconds from 10. Default 30,000. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Shortest time between the starts of two attempts, in milliseconds from 10. Default 1,000. */
  readonly minIntervalMs?: number | undefined;
  /** Pause after the first failure, in milliseconds from 10; each failure doubles it. Default 1,000. */
  readonly backOffMs?: number | undefined;
  /** Longest pause between attempts, in milliseconds from `backOffMs` to 1,800,000. Default 60,000. */
  readonly maxBackOffMs?: number | undefined;
  /** How long `credentials()`, `snapshot()` and `use()` wait, in milliseconds from 1, `Infinity` for ever. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** How long `close()` lets an attempt under way finish, in milliseconds from 0. Default 10,000. */
  readonly drainMs?: number | undefined;
  /**
   * Whether another try with the same credentials is useless. Default: when the error carries one of the codes with
   * which OAuth ends a login, such as `invalid_grant`, or the words of large providers for the same.
   */
  readonly isFatal?: ((error: unknown) => boolean) | undefined;
  /** The effect of a call after a clear: an error (`stay`, so that a logout stays one), or a call of `login`. Default `stay`. */
  readonly whenCleared?: 'stay' | 'login' | undefined;
  /** Gets new credentials that were not stored, so that they can be revoked. */
  readonly onDiscarded?: ((credentials: T, reason: DiscardReason) => unknown) | undefined;
  /** Gets the errors of `refresh` and `login`, in the instance that called them; for a log of the caller's own. Default: none; see `state$`. */
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
  /** Stops the wait. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds; default the reauthenticator's `timeoutMs`. `Infinity`: without end. */
  readonly timeoutMs?: number | undefined;
}

/**
 * The second argument of the function given to `use()`, beside the credentials.
 *
 * @public
 */
export interface UseContext<T> {
  /** The credentials with their end, for `reject`. */
  readonly snapshot: CredentialSnapshot<T>;
  /**
   * Aborts when the credentials are withdrawn, or with the caller's own signal. A rejection by another caller does not abort it, because this
   * call may still succeed.
   */
  readonly signal: AbortSignal;
}

/**
 * Options of `use()`.
 *
 * @public
 */
export interface UseOptions extends CredentialsOptions {
  /**
   * Whether an error thrown by the function, or else its result, means that the credentials were refused. Default: when the error (or its
   * `cause`) or the result has a status of 401, or one of the words of large clients for the same: of gRPC, GraphQL, AWS, Slack, Salesforce,
   * PostgreSQL, MySQL, MongoDB.
   */
  readonly rejected?: ((outcome: unknown) => boolean) | undefined;
  /** Whether a refused function is called once more. Default `true`. `false` for work that cannot be done twice. */
  readonly repeat?: boolean | undefined;
}

/** The options that are undefined by default. */
export type ReauthenticatorOptionsOpen = 'login' | 'leadFraction' | 'onDiscarded' | 'onFailure';

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
  refresh: requiredFunction(
    'One instance of the whole cluster calls it at a time. It must not wait for `credentials()` of the same reauthenticator, which wait for it.',
  ),
  login: callback({
    default: undefined,
    cost: 'Without this function calls are rejected at once while nothing is stored: right where a person has to log in. Give it for credentials that any process may get by itself, and let it be the same function as `refresh` if that needs no `previous`.',
  }),
  leadMs: ms({
    default: 60_000,
    min: 0,
    suspectBelow: 1_000,
    cost: 'A longer lead leaves more time for failures, and asks the provider more often. The lead is at most half of the lifetime. `0` waits for the end.',
  }),
  leadFraction: share({
    default: undefined,
    max: 0.5,
    cost: 'The same as a share of the lifetime: right where lifetimes differ. Not together with `leadMs`.',
  }),
  jitter: share({
    default: 0.1,
    max: 1,
    cost: '`0` lets all instances request the lease at the same moment: one command of each instance, still one call of `refresh` or `login`.',
  }),
  leaseMs: ms({
    default: 15_000,
    min: 100,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter lease takes over earlier from an instance that died, and gives up a paused instance earlier. At least one and a half times `replyTimeoutMs`.',
  }),
  attemptTimeoutMs: ms({
    default: 30_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter time gives up a slow provider earlier, and leaves the next attempt in doubt. A longer time lets callers wait longer for new credentials.',
  }),
  minIntervalMs: ms({
    default: 1_000,
    min: 10,
    max: LONGEST_PAUSE_MS,
    cost: 'A shorter interval replaces credentials faster that are refused at once, and burdens a provider that issues such credentials.',
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
    suspectBelow: 100,
    cost: 'Bounds how long callers wait. A shorter time fails requests sooner while the provider is slow. `Infinity` leaves it to the signal of the caller.',
  }),
  drainMs: ms({
    default: 10_000,
    min: 0,
    cost: 'Bounds how long `close()` lets an attempt finish. A shorter time ends sooner and may lose a refresh token that the provider has just issued.',
  }),
  isFatal: callback({
    default: (error: unknown) => refusalOf(error)?.of === 'login',
    shown: "OAuth's final codes",
    cost: 'Too strict a function stops all instances until a person logs in. Too mild a function calls the provider without end.',
  }),
  whenCleared: word({
    default: 'stay',
    of: ['stay', 'login'],
    cost: '`login` gives a caller new credentials after a logout: right only where no person has to log in. Needs the option `login`.',
  }),
  onDiscarded: callback({
    default: undefined,
    cost: 'Without this function credentials that were not stored are dropped, and stay valid at the provider until they end.',
  }),
  onFailure: callback({
    default: undefined,
    cost: 'Gets the errors of `refresh` and `login`, which may hold a secret. Without this function only `state$` and `counts` show failures.',
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
  if (rest.whenCleared === 'login' && rest.login === undefined)
    throw new InvalidOptionError('whenCleared', "cannot be 'login' without the option login");
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
    cost: 'A longer time lets callers wait for new credentials although the old ones are still valid.',
  }),
  signal: signal('Stops the wait.'),
  timeoutMs: ms({
    default: undefined,
    shown: '`timeoutMs`',
    max: Infinity,
    suspectBelow: 100,
    cost: 'As `timeoutMs` of the `Reauthenticator`, for this call.',
  }),
};

/** The options of `use()`. */
export const USE_OPTIONS: OptionsTable<UseOptions, 'signal' | 'timeoutMs' | 'rejected'> = {
  ...CREDENTIALS_OPTIONS,
  rejected: callback({
    default: undefined,
    shown: 'status 401',
    cost: 'Without this function the status 401, or what large clients say in its place, means that the credentials were refused.',
  }),
  repeat: option({
    default: true,
    check: checkBoolean,
    range: '`true`, `false`',
    cost: '`false` gives the caller the first answer, also a 401. The credentials are replaced all the same.',
  }),
};
