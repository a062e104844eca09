import { InvalidOptionError } from '../../errors.js';

/**
 * A cache whose entries are removed by key: a `Map`, an `LRUCache` of lru-cache, a `Keyv`, a cache of cache-manager, or any other object with
 * one of the two methods. A promise that the method returns is awaited.
 *
 * @public
 */
export type KeyedCache =
  | {
      /** Removes one entry; the result does not matter, unless it is a promise. */
      delete(key: string): unknown;
    }
  | {
      /** Removes one entry; the result does not matter, unless it is a promise. */
      del(key: string): unknown;
    };

/**
 * A cache that one call empties.
 *
 * @public
 */
export interface ClearableCache {
  /** Removes every entry. A returned promise is awaited; any other result is ignored. */
  clear(): unknown;
}

/** The function that removes one entry of a cache. */
export function removerOf(target: unknown): (key: string) => unknown {
  const cache = target as Partial<Record<'delete' | 'del', (key: string) => unknown>> | null;
  if (typeof cache?.delete === 'function') return (key) => cache.delete?.(key);
  if (typeof cache?.del === 'function') return (key) => cache.del?.(key);
  throw new InvalidOptionError('target', 'must have a method delete(key) or del(key)');
}

/** The function that removes every entry of a cache. */
export function clearerOf(target: unknown): () => unknown {
  const cache = target as Partial<ClearableCache> | null;
  if (typeof cache?.clear === 'function') return () => cache.clear?.();
  throw new InvalidOptionError('target', 'must have a method clear() for `all: true`');
}
