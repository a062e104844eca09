import { bindFunctions, bindToContext } from '../time/async-context.js';
import {
  directoryInternalsOf,
  type CredentialDirectory,
} from '../stores/directory/credential-directory.js';
import { InvalidOptionError } from '../errors.js';
import { KeyedPool } from '../util/keyed-pool.js';
import { describeType } from '../util/option-checks.js';
import { checkOptions, count, ms, type OptionsTable } from '../util/options.js';
import { Semaphore } from '../util/semaphore.js';
import { derive } from './derive.js';
import {
  DERIVE_OPTIONS,
  type DeriveContext,
  type DeriveOptions,
  type DeriveOptionsOpen,
} from './options.js';
import type { Derived, DerivedWaitOptions } from './derived.js';

/**
 * Options of `deriveEach`: those of `derive`, which apply to each credential, and two for all credentials together.
 *
 * @public
 */
export interface DeriveEachOptions<V> extends Omit<DeriveOptions<V>, 'eager'> {
  /** The number of calls of `create` at the same time, from 1 to 1,000; the wait for a permit counts toward `createTimeoutMs`. Default 16. */
  readonly concurrency?: number | undefined;
  /** How long an unused value is kept, in milliseconds from 1,000, `Infinity` until `release`. Default 600,000: ten minutes. */
  readonly idleMs?: number | undefined;
}

const { eager: _eager, ...EACH } = DERIVE_OPTIONS;

/** The options of `deriveEach`. */
export const DERIVE_EACH_OPTIONS: OptionsTable<DeriveEachOptions<unknown>, DeriveOptionsOpen> = {
  ...EACH,
  concurrency: count({
    default: 16,
    max: 1_000,
    cost: 'More calls of `create` at the same time finish a start sooner, and burden the server more. The wait for a permit counts toward `createTimeoutMs`.',
  }),
  idleMs: ms({
    default: 600_000,
    min: 1_000,
    max: Infinity,
    cost: 'A shorter time rebuilds values that are used now and then. A longer time keeps unused values. `Infinity` keeps them until `release`.',
  }),
};

/**
 * A value for each credential of a directory, built on first use; made by `deriveEach`.
 *
 * @public
 */
export interface DerivedPool<V> extends AsyncDisposable {
  /** The number of credentials with a value, or with a `create` under way. */
  readonly size: number;
  /** As `get()` of a derived value. A value may be disposed of `idleMs` after the last call for its id: prefer `use`. */
  get(id: string, options?: DerivedWaitOptions): Promise<V>;
  /** As `use()` of a derived value. */
  use<R>(
    id: string,
    fn: (value: V) => R | PromiseLike<R>,
    options?: DerivedWaitOptions,
  ): Promise<R>;
  /** The value from memory, if there is one that may be served. Builds nothing, and does not count as a use. */
  current(id: string): V | undefined;
  /** Disposes of the value of one credential; the next use builds another one. */
  release(id: string): Promise<void>;
  /** As `close()` of a derived value, for all values. The end of the directory closes the pool. Idempotent, never rejects. */
  close(): Promise<void>;
}

/**
 * As `derive`, for every credential of a directory: an API client for each tenant, a connection pool for each database.
 *
 * @remarks
 * The first use builds the value, which follows its credential from then on, and is disposed of after `idleMs` without a use.
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
  // Without this check a wrong option would be refused only with the first credential.
  checkOptions(DERIVE_EACH_OPTIONS, options);
  const {
    concurrency = DERIVE_EACH_OPTIONS.concurrency.default,
    idleMs = DERIVE_EACH_OPTIONS.idleMs.default,
    ...rest
  } = options;
  const each = bindFunctions(rest);
  const bound = bindToContext(create);
  const semaphore = new Semaphore(concurrency);
  const withPermit = async (credentials: T, context: DeriveContext): Promise<V> => {
    const { signal } = context;
    await semaphore.acquire();
    let held = true;
    const release = (): void => {
      if (held) semaphore.release();
      held = false;
    };
    try {
      // During the wait the time may have run out, or another credential may have come.
      signal.throwIfAborted();
      // A call that never settles must not hold up the other calls for ever; its late value is disposed of all the same.
      signal.addEventListener('abort', release, { once: true });
      return await bound(credentials, context);
    } finally {
      signal.removeEventListener('abort', release);
      release();
    }
  };
  const pool = new KeyedPool<Derived<V>>(
    internals.clock,
    idleMs,
    (id) => derive<T, V>(directory.store(id), withPermit, each),
    (one) => one.close(),
  );
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    unregister();
    return (closing ??= pool.close());
  };
  const unregister = internals.closeFirst(close);
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
