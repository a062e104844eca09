import { closeOnce } from '../util/close-once.js';
import type { Observable } from 'rxjs';
import {
  internalsOf,
  type ObservableCredentialStore,
} from '../stores/observable-credential-store.js';
import { digestOf, type CredentialSnapshot } from '../credential/snapshot.js';
import { ClosedError, InvalidOptionError } from '../errors.js';
import type { CallbackErrorHandler } from '../util/callbacks.js';
import { checkFunction, checkReason } from '../util/option-checks.js';
import { checkOptions } from '../util/options.js';
import type { Semaphore } from '../util/semaphore.js';
import { Coordinator } from './coordinator.js';
import type { Counter } from './attempt/context.js';
import { useCredentials } from './calls/use.js';
import {
  CREDENTIALS_OPTIONS,
  resolveReauthenticatorOptions,
  USE_OPTIONS,
  type CredentialsOptions,
  type ReauthenticatorOptions,
  type ResolvedReauthenticatorOptions,
  type UseContext,
  type UseOptions,
} from './options.js';
import type { ReauthenticationCounts, ReauthenticationState } from './state.js';

/**
 * Keeps a credential valid: when the credential is about to end, has ended, or was rejected, one of all instances calls `refresh`, and the
 * others receive the result.
 *
 * A reauthenticator watches the store from its creation until `close()`. The store closes its reauthenticators before itself.
 *
 * @remarks
 * Promised: at most one commit per credential, and one call of `refresh` per expiry over all instances while leases hold. Not promised:
 * one call to the provider under pauses longer than the lease, a failover of Redis, or a loss of its data.
 *
 * @example
 * ```ts
 * import { Redis } from 'ioredis';
 * import { Reauthenticator, RedisCredentialStore } from 'credstream';
 *
 * interface Tokens {
 *   accessToken: string;
 *   refreshToken: string;
 *   expiresAt: number;
 * }
 * declare function requestTokens(refreshToken: string, signal: AbortSignal): Promise<Tokens>;
 *
 * const store = new RedisCredentialStore<Tokens>(new Redis(), {
 *   key: 'crm:tokens',
 *   expiresAt: (tokens) => tokens.expiresAt,
 * });
 * const auth = new Reauthenticator(store, {
 *   refresh: ({ previous, signal }) => requestTokens(previous.refreshToken, signal),
 * });
 * const { accessToken } = await auth.credentials({ minValidityMs: 5_000 });
 * console.log(accessToken.length);
 * ```
 * @public
 */
export class Reauthenticator<T> implements AsyncDisposable {
  readonly #id: string;
  readonly #options: ResolvedReauthenticatorOptions<T>;
  readonly #coordinator: Coordinator<T>;
  readonly #forget: () => void;
  readonly #onCallbackError: CallbackErrorHandler;
  readonly #counts: Counter = {
    calls: 0,
    committed: 0,
    unchanged: 0,
    failed: 0,
    fatal: 0,
    unanswered: 0,
    discarded: 0,
    takeovers: 0,
    needless: 0,
  };
  #closing: Promise<void> | undefined;

  /**
   * Starts the watch.
   *
   * @param store - a store of this package; other code may use it too
   * @throws InvalidOptionError, ClosedError
   */
  constructor(store: ObservableCredentialStore<T>, options: ReauthenticatorOptions<NoInfer<T>>);
  /** @internal */
  constructor(
    store: ObservableCredentialStore<T>,
    options: ReauthenticatorOptions<NoInfer<T>>,
    semaphore: Semaphore,
  );
  constructor(
    store: ObservableCredentialStore<T>,
    options: ReauthenticatorOptions<NoInfer<T>>,
    semaphore?: Semaphore,
  ) {
    const internals = internalsOf(store);
    this.#options = resolveReauthenticatorOptions(options);
    const shortest = internals.backend.replyTimeoutMs * 1.5;
    if (this.#options.leaseMs < shortest)
      throw new InvalidOptionError(
        'leaseMs',
        `must be at least ${String(shortest)}, one and a half times replyTimeoutMs, or it could not be renewed in time`,
      );
    this.#id = internals.id;
    this.#onCallbackError = internals.options.onCallbackError;
    this.#forget = internals.closeFirst(() => this.close());
    this.#coordinator = new Coordinator(internals, this.#options, this.#counts, semaphore);
  }

  /** The present state. */
  get state(): ReauthenticationState {
    return this.#coordinator.state;
  }

  /** The state at once, then every new one. Never errors, completes with `closed` on `close()`. */
  get state$(): Observable<ReauthenticationState> {
    return this.#coordinator.state$;
  }

  /** The counts of this reauthenticator so far; a copy. */
  get counts(): ReauthenticationCounts {
    return { ...this.#counts };
  }

  /**
   * Valid credentials: from memory without I/O while they stay valid for `minValidityMs`, even during a re-authentication; else the result of
   * the one re-authentication of all instances.
   *
   * @throws TimeoutError, ReauthenticationError (a person has to log in), UnreadableError, ClosedError, InvalidOptionError, the signal's reason
   */
  credentials(options?: CredentialsOptions): Promise<T> {
    return this.snapshot(options).then(({ credentials }) => credentials);
  }

  /** As `credentials()`, with the end and the signal; an argument for `reject`. */
  snapshot(options?: CredentialsOptions): Promise<CredentialSnapshot<T>> {
    if (options === undefined && this.#closing === undefined) {
      const good = this.#coordinator.valid(0);
      if (good !== undefined) return Promise.resolve(good);
    }
    return this.#snapshot(options ?? {});
  }

  async #snapshot(options: CredentialsOptions): Promise<CredentialSnapshot<T>> {
    checkOptions(CREDENTIALS_OPTIONS, options);
    const {
      minValidityMs = CREDENTIALS_OPTIONS.minValidityMs.default,
      timeoutMs = this.#options.timeoutMs,
      signal,
    } = options;
    if (this.#closing !== undefined) throw new ClosedError();
    signal?.throwIfAborted();
    const good = this.#coordinator.valid(minValidityMs);
    return good ?? this.#coordinator.wait(minValidityMs, timeoutMs, signal);
  }

  /**
   * Calls `fn` with valid credentials. When its error or result means that they were refused (a 401), rejects them and calls `fn` once more
   * with new ones; the body of a refused `Response` is cancelled. A call that another caller's rejection aborts is repeated in the same way.
   *
   * @param fn - does something with the credentials; gets a signal that aborts when they are withdrawn
   * @returns the result of `fn`, of the second call if there was one
   * @throws the error of `fn`, and the errors of `snapshot()`
   * @example
   * ```ts
   * import type { Reauthenticator } from 'credstream';
   *
   * async function me(auth: Reauthenticator<{ accessToken: string }>): Promise<unknown> {
   *   const response = await auth.use(({ accessToken }, { signal }) =>
   *     fetch('https://api.example.com/me', {
   *       headers: { authorization: `Bearer ${accessToken}` },
   *       signal,
   *     }),
   *   );
   *   return response.json();
   * }
   * ```
   */
  async use<R>(
    fn: (credentials: T, context: UseContext<T>) => R | PromiseLike<R>,
    options: UseOptions = {},
  ): Promise<R> {
    if (typeof fn !== 'function') checkFunction(null, 'fn');
    checkOptions(USE_OPTIONS, options);
    const source = {
      snapshot: (rest: CredentialsOptions) => this.snapshot(rest),
      refuse: (snapshot: CredentialSnapshot<T>) => {
        if (this.#closing !== undefined) return false;
        this.reject(snapshot);
        return true;
      },
      failed: (error: unknown) => {
        this.#onCallbackError(error, 'rejected');
      },
    };
    return useCredentials(source, fn, options);
  }

  /**
   * Reports that the provider refused these credentials. If they are still the current ones, their signal aborts, and they are replaced once
   * over all instances, no matter how many callers report.
   *
   * @param snapshot - the snapshot of the refused credentials
   * @param reason - passed to `refresh`; at most 256 characters
   * @returns whether they were the current ones; `false`: new ones are there already, or none are known now
   * @throws InvalidOptionError for a snapshot of another credential, or one that no store made; ClosedError
   */
  reject(snapshot: CredentialSnapshot<T>, reason?: string): boolean {
    const why = checkReason(reason);
    const digest = digestOf(snapshot);
    if (digest === undefined || snapshot.id !== this.#id)
      throw new InvalidOptionError('snapshot', 'must be a snapshot of this credential');
    if (this.#closing !== undefined) throw new ClosedError();
    return this.#coordinator.reject(digest, why);
  }

  /**
   * Starts no new attempt, and lets an attempt under way finish and store its result within `drainMs`. After that its signal aborts, and its
   * record stays for a successor. Waiting callers get a `ClosedError`. The store stays open. Idempotent, never rejects.
   */
  close(): Promise<void> {
    return (
      this.#closing ??
      closeOnce(
        () => this.#coordinator.close().finally(this.#forget),
        (closing) => {
          this.#closing = closing;
        },
      )
    );
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
