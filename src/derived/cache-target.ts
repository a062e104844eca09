import { InvalidOptionError } from '../errors.js';

/**
 * A cache whose entries are removed by name: a `Map`, an `LRUCache` of lru-cache, a `Keyv`, a cache of cache-manager, or anything
 * else with one of the two methods. A promise that they return is waited for.
 *
 * @public
 */
export type KeyedCache = CacheWithDelete | CacheWithDel;

/**
 * As `Map`, lru-cache and Keyv have it.
 *
 * @public
 */
export interface CacheWithDelete {
  /** Removes one entry; what it returns does not matter, unless it is a promise. */
  delete(key: string): unknown;
}

/**
 * As cache-manager has it.
 *
 * @public
 */
export interface CacheWithDel {
  /** Removes one entry; what it returns does not matter, unless it is a promise. */
  del(key: string): unknown;
}

/**
 * A cache that can be emptied.
 *
 * @public
 */
export interface ClearableCache {
  /** Removes every entry; what it returns does not matter, unless it is a promise. */
  clear(): unknown;
}

/** How to remove one entry. */
export function removerOf(target: unknown): (key: string) => unknown {
  const cache = target as Partial<CacheWithDelete & CacheWithDel> | null | undefined;
  if (typeof cache?.delete === 'function') return (key) => (cache as CacheWithDelete).delete(key);
  if (typeof cache?.del === 'function') return (key) => (cache as CacheWithDel).del(key);
  throw new InvalidOptionError('target', 'must have a method delete(key) or del(key)');
}

/** How to remove every entry. */
export function clearerOf(target: unknown): () => unknown {
  const cache = target as Partial<ClearableCache> | null | undefined;
  if (typeof cache?.clear === 'function') return () => (cache as ClearableCache).clear();
  throw new InvalidOptionError('target', 'must have a method clear() for clearAll');
}
