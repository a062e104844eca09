import type { CredentialDirectory } from '../stores/directory/credential-directory.js';
import { directoryInternalsOf } from '../stores/directory/credential-directory.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { bindFunctions } from '../time/async-context.js';
import { KeyedPool } from '../util/keyed-pool.js';
import { checkOptions, count, ms, type OptionsTable } from '../util/options.js';
import { Semaphore } from '../util/semaphore.js';
import type {
  CredentialsOptions,
  LoginRequest,
  ReauthenticatorOptions,
  RefreshRequest,
  UseContext,
  UseOptions,
} from './options.js';
import {
  REAUTHENTICATOR_OPTIONS,
  resolveReauthenticatorOptions,
  type ReauthenticatorOptionsOpen,
} from './options.js';
import { Reauthenticator } from './reauthenticator.js';

/**
 * Options of a {@link ReauthenticatorPool}: those of a `Reauthenticator`, which apply to each credential, and two for all of them together.
 *
 * @public
 */
export interface ReauthenticatorPoolOptions<T> extends Omit<
  ReauthenticatorOptions<T>,
  'refresh' | 'login'
> {
  /** As for a `Reauthenticator`; `id` names the credential. */
  readonly refresh: (request: RefreshRequest<T>, id: string) => T | Promise<T> | PromiseLike<T>;
  /** As for a `Reauthenticator`; `id` names the credential. */
  readonly login?:
    ((request: LoginRequest, id: string) => T | Promise<T> | PromiseLike<T>) | undefined;
  /** The number of calls of `refresh` and `login` in this process at the same time, from 1 to 1,000; other calls wait for a permit. Default 16. */
  readonly concurrency?: number | undefined;
  /**
   * How long an unused credential is still kept valid, in milliseconds from 1,000, `Infinity` until `release`. Default 600,000: ten minutes.
   */
  readonly idleMs?: number | undefined;
}

/** The options of a `ReauthenticatorPool`. */
export const REAUTHENTICATOR_POOL_OPTIONS: OptionsTable<
  ReauthenticatorPoolOptions<unknown>,
  ReauthenticatorOptionsOpen
> = {
  ...REAUTHENTICATOR_OPTIONS,
  concurrency: count({
    default: 16,
    max: 1_000,
    cost: 'More calls of `refresh` and `login` at the same time renew many credentials sooner, and burden the provider more.',
  }),
  idleMs: ms({
    default: 600_000,
    min: 1_000,
    max: Infinity,
    cost: 'A shorter time lets credentials end that are used now and then. A longer time renews unused credentials. `Infinity` renews them until `release`.',
  }),
};

/**
 * Keeps the used credentials of a directory valid, each as a {@link Reauthenticator} does, with a bound on the calls to the provider at the
 * same time.
 *
 * @remarks
 * A credential is kept valid from its first use until `idleMs` without a use, until `release`, or `close`. A credential that waits for a
 * permit does not hold the lease meanwhile, so that another process may come first. The directory closes the pool before itself.
 *
 * @example
 * ```ts
 * import { MemoryCredentialDirectory, ReauthenticatorPool } from 'credstream';
 *
 * interface Tokens {
 *   accessToken: string;
 *   expiresAt: number;
 * }
 * declare function logIn(tenant: string, signal: AbortSignal): Promise<Tokens>;
 *
 * const directory = new MemoryCredentialDirectory<Tokens>({
 *   prefix: 'tenant:',
 *   expiresAt: (tokens) => tokens.expiresAt,
 * });
 * const auth = new ReauthenticatorPool(directory, {
 *   refresh: ({ signal }, tenant) => logIn(tenant, signal),
 *   login: ({ signal }, tenant) => logIn(tenant, signal),
 *   concurrency: 8,
 * });
 * const { accessToken } = await auth.credentials('acme');
 * console.log(accessToken.length);
 * ```
 * @public
 */
export class ReauthenticatorPool<T> implements AsyncDisposable {
  readonly #pool: KeyedPool<Reauthenticator<T>>;
  readonly #forget: () => void;
  #closing: Promise<void> | undefined;

  /** @throws InvalidOptionError */
  constructor(directory: CredentialDirectory<T>, options: ReauthenticatorPoolOptions<NoInfer<T>>) {
    const internals = directoryInternalsOf(directory);
    checkOptions(REAUTHENTICATOR_POOL_OPTIONS, options);
    const {
      concurrency = REAUTHENTICATOR_POOL_OPTIONS.concurrency.default,
      idleMs = REAUTHENTICATOR_POOL_OPTIONS.idleMs.default,
      ...rest
    } = options;
    const { refresh, login, ...each } = bindFunctions(rest);
    const optionsOf = (id: string): ReauthenticatorOptions<T> => ({
      ...each,
      refresh: (request) => refresh(request, id),
      login: login && ((request) => login(request, id)),
    });
    // Without this check a wrong option would be refused only with the first credential.
    resolveReauthenticatorOptions(optionsOf(''));
    const semaphore = new Semaphore(concurrency);
    this.#pool = new KeyedPool(
      internals.clock,
      idleMs,
      (id) => new Reauthenticator(directory.store(id), optionsOf(id), semaphore),
      (one) => one.close(),
    );
    this.#forget = internals.closeFirst(() => this.close());
  }

  /** The number of credentials that are kept valid. */
  get size(): number {
    return this.#pool.size;
  }

  /**
   * The reauthenticator of one credential, for its `state$` and `counts`. Do not keep it: the pool closes it after `idleMs` without a use.
   *
   * @throws InvalidOptionError, ClosedError
   */
  get(id: string): Reauthenticator<T> {
    return this.#pool.get(id);
  }

  /** As `credentials()` of a `Reauthenticator`. */
  async credentials(id: string, options?: CredentialsOptions): Promise<T> {
    return this.#pool.using(id, (one) => one.credentials(options));
  }

  /** As `snapshot()` of a `Reauthenticator`. */
  async snapshot(id: string, options?: CredentialsOptions): Promise<CredentialSnapshot<T>> {
    return this.#pool.using(id, (one) => one.snapshot(options));
  }

  /** As `use()` of a `Reauthenticator`. */
  async use<R>(
    id: string,
    fn: (credentials: T, context: UseContext<T>) => R | PromiseLike<R>,
    options?: UseOptions,
  ): Promise<R> {
    return this.#pool.using(id, (one) => one.use(fn, options));
  }

  /** As `reject()` of a `Reauthenticator`. */
  reject(id: string, snapshot: CredentialSnapshot<T>, reason?: string): boolean {
    return this.#pool.get(id).reject(snapshot, reason);
  }

  /** Stops keeping a credential valid, until its next use. */
  release(id: string): Promise<void> {
    return this.#pool.release(id);
  }

  /** Closes all reauthenticators; attempts under way may finish within `drainMs`. Idempotent, never rejects. */
  close(): Promise<void> {
    this.#forget();
    return (this.#closing ??= this.#pool.close());
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
