import { directoryInternalsOf, type CredentialDirectory } from '../stores/directory/base.js';
import { InvalidOptionError } from '../errors.js';
import { KeyedPool } from '../util/keyed-pool.js';
import { checkCount, checkMs, describeType } from '../util/option-checks.js';
import { Semaphore } from '../util/semaphore.js';
import { derive } from './derive.js';
import { resolveDeriveOptions, type DeriveContext, type DeriveOptions } from './options.js';
import type { Derived, DerivedWaitOptions } from './derived.js';

/**
 * Options of `deriveEach`: those of `derive`, which hold for each credential, and what concerns all of them.
 *
 * @public
 */
export interface DeriveEachOptions<V> extends Omit<DeriveOptions<V>, 'eager'> {
  /**
   * How many calls of `create` are made at the same time, from 1 to 1,000; the others wait their turn, as part of `createTimeoutMs`. Default 16.
   */
  readonly concurrency?: number | undefined;
  /** How long a value that nobody uses is kept, in milliseconds from 1,000, `Infinity` until `release`. Default 600,000: ten minutes. */
  readonly idleMs?: number | undefined;
}

/**
 * A value for each credential of a directory, built when it is asked for; made by `deriveEach`.
 *
 * @public
 */
export interface DerivedPool<V> extends AsyncDisposable {
  /** How many credentials have a value, or are about to. */
  readonly size: number;
  /** As `get()` of what `derive` makes. What was handed out may be disposed of once it was not asked for for `idleMs`: prefer `use`. */
  get(id: string, options?: DerivedWaitOptions): Promise<V>;
  /** As `use()` of what `derive` makes. */
  use<R>(
    id: string,
    fn: (value: V) => R | PromiseLike<R>,
    options?: DerivedWaitOptions,
  ): Promise<R>;
  /** The value from memory, if there is one that may be served. Starts nothing, and is no use. */
  current(id: string): V | undefined;
  /** Disposes of the value of one credential, until it is asked for again. */
  release(id: string): Promise<void>;
  /** As `close()` of what `derive` makes, for all of them. Happens by itself when the directory is closed. Idempotent, never rejects. */
  close(): Promise<void>;
}

/**
 * As `derive`, for every credential of a directory: an API client for each tenant, a connection pool for each database.
 *
 * @remarks
 * A value is built when it is first asked for, follows its credential from then on, and is disposed of when it has not been asked for for
 * `idleMs`.
 *
 * @throws InvalidOptionError
 *
 * @example
 * ```ts
 * import { deriveEach, MemoryCredentialDirectory } from 'credstream';
 *
 * await using directory = new MemoryCredentialDirectory<{ token: string }>({ prefix: 'tenant:' });
 * await directory.save('acme', { token: 'one' });
 * await using headers = deriveEach(directory, ({ token }, { id }) => ({
 *   authorization: `Bearer ${token}`,
 *   tenant: id,
 * }));
 * console.log(await headers.use('acme', (value) => value.tenant));
 * ```
 * @public
 */
export function deriveEach<T, V>(
  directory: CredentialDirectory<T>,
  create: (credentials: T, context: DeriveContext) => V | PromiseLike<V>,
  options: DeriveEachOptions<NoInfer<V>> = {},
): DerivedPool<V> {
  const internals = directoryInternalsOf(directory);
  if (typeof create !== 'function')
    throw new InvalidOptionError('create', `must be a function, not ${describeType(create)}`);
  const { concurrency = 16, idleMs = 600_000, ...each } = options;
  // A wrong option is refused now, and not with the first credential.
  resolveDeriveOptions<V>(each);
  const semaphore = new Semaphore(checkCount(concurrency, 'concurrency', 1_000));
  const inTurn = async (credentials: T, context: DeriveContext): Promise<V> => {
    const { signal } = context;
    await semaphore.acquire();
    let held = true;
    const release = (): void => {
      if (held) semaphore.release();
      held = false;
    };
    try {
      // The wait was too long, or another credential came.
      signal.throwIfAborted();
      // A call that never settles must not hold up the others for ever; its late value is disposed of all the same.
      signal.addEventListener('abort', release, { once: true });
      return await create(credentials, context);
    } finally {
      signal.removeEventListener('abort', release);
      release();
    }
  };
  const pool = new KeyedPool<Derived<V>>(
    internals.clock,
    checkMs(idleMs, 'idleMs', 1_000, Infinity),
    (id) => derive<T, V>(directory.store(id), inTurn, each),
    (one) => one.close(),
  );
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    forget();
    return (closing ??= pool.close());
  };
  const forget = internals.closeFirst(close);
  return {
    get size() {
      return pool.size;
    },
    get: (id, wait) => pool.using(id, (one) => one.get(wait)),
    use: (id, fn, wait) => pool.using(id, (one) => one.use(fn, wait)),
    current: (id) => pool.peek(id)?.current,
    release: (id) => pool.release(id),
    close,
    [Symbol.asyncDispose]: close,
  };
}
