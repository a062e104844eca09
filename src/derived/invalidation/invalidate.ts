import { bindToContext } from '../../time/async-context.js';
import { InvalidOptionError } from '../../errors.js';
import {
  internalsOf,
  type ObservableCredentialStore,
} from '../../stores/observable-credential-store.js';
import { clearerOf, removerOf, type ClearableCache, type KeyedCache } from './cache-target.js';
import { CacheInvalidation, type Invalidation } from './cache-invalidation.js';
import {
  resolveInvalidateOptions,
  type InvalidateOptions,
  type ResolvedInvalidateOptions,
} from './options.js';
import type { Remover } from './removals.js';

/**
 * Keeps entries of a cache true to a credential: removes them whenever they may be untrue.
 *
 * @remarks
 * Entries are removed
 * - at the call, and when the credential becomes known for the first time: the entries may be older than the watch;
 * - on every change but `renewed`;
 * - when the store begins to withhold the credential, and when it has caught up after a gap, even without a change: another credential may
 *   have come and gone unseen;
 * - once more when the store is closed.
 *
 * A synchronous cache has lost its entries before later subscribers of the store's streams get the event. A removal that throws or rejects
 * is repeated, with pauses that grow from about 1 s to 60 s, until it succeeds. Removals of one key never overlap, unless one takes longer
 * than `removalTimeoutMs`.
 *
 * The store is watched from this call until `close()`.
 *
 * @throws InvalidOptionError
 *
 * @example
 * ```ts
 * import { invalidate, MemoryCredentialStore } from 'credstream';
 *
 * const answers = new Map<string, string>([['Lisbon', 'sunny']]);
 * await using store = new MemoryCredentialStore<string>({ key: 'weather' });
 * using kept = invalidate(answers, store, { keys: () => answers.keys() });
 * await store.save('another key');
 * console.log(answers.size, kept.guard()());
 * ```
 * @public
 */
export function invalidate<T>(
  target: KeyedCache,
  store: ObservableCredentialStore<T>,
  options: InvalidateOptions & {
    readonly keys: NonNullable<InvalidateOptions['keys']>;
    readonly all?: false | undefined;
  },
): Invalidation;
/**
 * The same for the whole cache.
 *
 * @throws InvalidOptionError
 * @public
 */
export function invalidate<T>(
  target: ClearableCache,
  store: ObservableCredentialStore<T>,
  options: InvalidateOptions & { readonly all: true },
): Invalidation;
export function invalidate<T>(
  target: KeyedCache | ClearableCache,
  store: ObservableCredentialStore<T>,
  options: InvalidateOptions,
): Invalidation {
  const { backend } = internalsOf(store);
  const resolved = resolveInvalidateOptions(options);
  const remover = removerFor(target, store.id, resolved);
  return new CacheInvalidation(store, remover, resolved, backend);
}

function removerFor(
  target: unknown,
  id: string,
  { all, keys }: ResolvedInvalidateOptions,
): Remover {
  if (all) return { type: 'all', clear: bindToContext(clearerOf(target)) };
  if (keys !== undefined)
    return { type: 'entries', keys: () => keys(id), remove: bindToContext(removerOf(target)) };
  throw new InvalidOptionError(
    'keys',
    'must name the entries that depend on the credential; `all: true` instead empties the whole cache',
  );
}
