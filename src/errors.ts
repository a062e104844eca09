/**
 * Every code that an error of this package can carry.
 *
 * @public
 */
export type CredstreamErrorCode =
  | 'INVALID_OPTION'
  | 'ENCODE_FAILED'
  | 'UNREADABLE'
  | 'CONFLICT'
  | 'UNAVAILABLE'
  | 'OUTCOME_UNKNOWN'
  | 'REFUSED'
  | 'TIMEOUT'
  | 'REAUTHENTICATION_FAILED'
  | 'CLOSED';

/**
 * Base of all errors of this package. No field of an error carries a credential, its bytes or a digest of them.
 *
 * @example
 * ```ts
 * import { isCredstreamError, type CredentialStore } from 'credstream';
 *
 * async function save(store: CredentialStore<string>, token: string): Promise<void> {
 *   try {
 *     await store.save(token);
 *   } catch (error) {
 *     if (isCredstreamError(error) && error.retryable) await store.save(token);
 *     else throw error;
 *   }
 * }
 * ```
 * @public
 */
export abstract class CredstreamError extends Error {
  /** The kind of failure, for a `switch`. */
  abstract readonly code: CredstreamErrorCode;
  /** Whether the same call may simply be made again. */
  readonly retryable: boolean = false;
  /** The id of the credential that the call was about; `undefined` where the error is not about one credential. */
  readonly id: string | undefined = undefined;

  constructor(message: string, cause?: Error) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
  }
}

/**
 * An option or argument is not usable: the code of the caller has to change. Nothing was sent.
 *
 * @public
 */
export class InvalidOptionError extends CredstreamError {
  readonly code = 'INVALID_OPTION';
  /** Name of the option or argument. */
  readonly option: string;

  constructor(option: string, expected: string) {
    super(`${option}: ${expected}`);
    this.option = option;
  }
}

/**
 * Why a credential could not be turned into bytes.
 *
 * `threw`: `serialize` threw or rejected · `not-bytes`: `serialize` returned neither a well-formed string nor a `Uint8Array` · `not-json`:
 * the value would not survive JSON · `schema`: the schema refused the value · `too-large`: more than `maxBytes` · `timeout`: `serialize`
 * did not settle within `decodeTimeoutMs` · `expires-at`: the `expiresAt` option gave no usable instant.
 *
 * @public
 */
export type EncodeFailure =
  'threw' | 'not-bytes' | 'not-json' | 'schema' | 'too-large' | 'timeout' | 'expires-at';

/**
 * A credential could not be serialized. Nothing was sent. The error of `serialize` is not attached: it may quote the value.
 *
 * @public
 */
export class EncodeError extends CredstreamError {
  readonly code = 'ENCODE_FAILED';
  /** The kind of failure. */
  readonly reason: EncodeFailure;
  /** The place in the credentials, such as `profile.createdAt`; `undefined` where the failure has none. Names that may be data are left out. */
  readonly path: string | undefined;

  constructor(reason: EncodeFailure, message: string, path?: string) {
    super(message);
    this.reason = reason;
    this.path = path;
  }
}

/**
 * Why stored bytes are not a credential.
 *
 * `decode`: `deserialize` threw or rejected · `schema`: the schema refused the value · `timeout`: `deserialize` did not settle within
 * `decodeTimeoutMs` · `wrong-type`: the key holds a list, hash or other Redis type · `too-large`: more than `maxBytes` · `expires-at`: the
 * `expiresAt` option gave no usable instant.
 *
 * @public
 */
export type UnreadableReason =
  'decode' | 'schema' | 'timeout' | 'wrong-type' | 'too-large' | 'expires-at';

/**
 * The key holds something that is not a credential which this store can read. The store leaves the key as it is.
 *
 * @public
 */
export class UnreadableError extends CredstreamError {
  readonly code = 'UNREADABLE';
  /** The kind of failure. */
  readonly reason: UnreadableReason;

  constructor(reason: UnreadableReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * A conditional write found other bytes than those to replace. Nothing was written; read again and decide anew.
 *
 * @public
 */
export class ConflictError extends CredstreamError {
  readonly code = 'CONFLICT';
}

/**
 * Redis could not be reached. Nothing was written; the call may be made again.
 *
 * @public
 */
export class UnavailableError extends CredstreamError {
  readonly code = 'UNAVAILABLE';
  override readonly retryable = true;
  /** First word of Redis's reply, such as `LOADING`, or `ERR` when Redis takes no more clients; `undefined` when Redis did not reply. */
  readonly reply: string | undefined;

  constructor(message: string, cause?: Error, reply?: string) {
    super(message, cause);
    this.reply = reply;
  }
}

/**
 * A write was sent and no reply came: the write may have happened, and may still happen. Read before writing again.
 *
 * @public
 */
export class OutcomeUnknownError extends CredstreamError {
  readonly code = 'OUTCOME_UNKNOWN';
}

/**
 * Redis replied with an error: permissions are missing, memory is full, the server is a replica … Nothing was written.
 *
 * @public
 */
export class RefusedError extends CredstreamError {
  readonly code = 'REFUSED';
  /** First word of Redis's reply, such as `NOPERM`, `OOM`, `READONLY`, `WRONGPASS`. */
  readonly reply: string;

  constructor(reply: string, message: string) {
    super(message);
    this.reply = reply;
  }
}

/**
 * A deadline passed before the awaited event.
 *
 * @public
 */
export class TimeoutError extends CredstreamError {
  readonly code = 'TIMEOUT';
  override readonly retryable = true;
  /** The deadline that passed, in milliseconds. */
  readonly timeoutMs: number;

  /** @param expected - the call and the event that it waited for: `ready() of "crm:tokens": not live` */
  constructor(expected: string, timeoutMs: number, cause?: Error) {
    super(`${expected} within ${String(timeoutMs)} ms`, cause);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * Why no credentials are to be had. `absent`: none are stored, and there is no `login` · `fatal`: the last attempt failed for good, until new
 * credentials are saved · `client`: the provider refuses the client as which this instance asks · `program`: `refresh` or `login` threw an error
 * that only a mistake in the program causes, or returned something that cannot be stored · `backing-off`: the last attempts failed, and the next one
 * comes later than the caller would wait · `cleared`: the credentials were cleared, and `whenCleared` is `stay` · `short-lived`: the new credentials
 * end before `minValidityMs`.
 *
 * @public
 */
export type ReauthenticationFailure =
  'absent' | 'fatal' | 'client' | 'program' | 'backing-off' | 'cleared' | 'short-lived';

/**
 * The parts of a {@link ReauthenticationError} beside its reason and its message.
 *
 * @public
 */
export interface ReauthenticationFailureDetails {
  /** OAuth's error code, such as `invalid_grant`. */
  readonly oauthError?: string | undefined;
  /** The instant of the next attempt, in epoch milliseconds. */
  readonly nextAt?: number | undefined;
  /** The number of failed attempts in a row. */
  readonly failures?: number | undefined;
  /** An error of this package, which quotes no data. */
  readonly cause?: Error | undefined;
}

/**
 * No valid credentials are to be had in time. But for `backing-off`, the same call again will not help: somebody has to log in, to mend the
 * program or its set-up, or to ask for less.
 *
 * @public
 */
export class ReauthenticationError extends CredstreamError {
  readonly code = 'REAUTHENTICATION_FAILED';
  /** The reason for the failure. */
  readonly reason: ReauthenticationFailure;
  /** OAuth's error code of the last attempt, such as `invalid_grant`; `undefined` when the failure had none. */
  readonly oauthError: string | undefined;
  /** The instant of the next attempt, in epoch milliseconds, where one will come by itself. */
  readonly nextAt: number | undefined;
  /** The number of failed attempts in a row, where it is known. */
  readonly failures: number | undefined;
  override readonly retryable: boolean;

  constructor(
    reason: ReauthenticationFailure,
    message: string,
    { oauthError, nextAt, failures, cause }: ReauthenticationFailureDetails = {},
  ) {
    super(message, cause);
    this.reason = reason;
    this.oauthError = oauthError;
    this.nextAt = nextAt;
    this.failures = failures;
    this.retryable = reason === 'backing-off';
  }
}

/**
 * The store, or an object that was made from it, is closed.
 *
 * @public
 */
export class ClosedError extends CredstreamError {
  readonly code = 'CLOSED';

  readonly #what: string;

  constructor(what = 'the store') {
    super(`${what} is closed`);
    this.#what = what;
  }

  /** @internal */
  again(): ClosedError {
    return new ClosedError(this.#what);
  }
}

/**
 * All errors of this package, for an exhaustive `switch` on `code`.
 *
 * @public
 */
export type AnyCredstreamError =
  | InvalidOptionError
  | EncodeError
  | UnreadableError
  | ConflictError
  | UnavailableError
  | OutcomeUnknownError
  | RefusedError
  | TimeoutError
  | ReauthenticationError
  | ClosedError;

const codes: ReadonlySet<unknown> = new Set<CredstreamErrorCode>([
  'INVALID_OPTION',
  'ENCODE_FAILED',
  'UNREADABLE',
  'CONFLICT',
  'UNAVAILABLE',
  'OUTCOME_UNKNOWN',
  'REFUSED',
  'TIMEOUT',
  'REAUTHENTICATION_FAILED',
  'CLOSED',
]);

/**
 * Whether `value` is an error of this package, also of another copy of it in the same process.
 *
 * @public
 */
export function isCredstreamError(value: unknown): value is AnyCredstreamError {
  return value instanceof Error && 'retryable' in value && 'code' in value && codes.has(value.code);
}

/**
 * Whether Redis turned the caller away: a set-up is wrong, or Redis is full. A restart or a failover, which passes by itself, is no such
 * failure.
 */
export function isTurnedAway(error: unknown): error is RefusedError | UnavailableError {
  return (
    error instanceof RefusedError || (error instanceof UnavailableError && error.reply === 'ERR')
  );
}

/**
 * The error for a call about one credential. A failure of the connection is an error of all stores on it, so each call gets its own copy.
 */
export function withId<E>(error: E, id: string): E {
  if (!(error instanceof CredstreamError) || error.id !== undefined) return error;
  const own = ownCopy(error);
  Object.defineProperty(own, 'id', { value: id, enumerable: true, configurable: true });
  return own;
}

function ownCopy<E extends CredstreamError>(error: E): E;
function ownCopy(error: CredstreamError): CredstreamError {
  const cause = error.cause instanceof Error ? error.cause : undefined;
  if (error instanceof RefusedError) return new RefusedError(error.reply, error.message);
  if (error instanceof UnavailableError)
    return new UnavailableError(error.message, cause, error.reply);
  if (error instanceof ClosedError) return error.again();
  return error;
}
