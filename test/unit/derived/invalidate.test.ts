import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { LRUCache } from 'lru-cache';
import { describe, expect, it } from 'vitest';

import { CredentialMemory, invalidate, type KeyedCache, MemoryCredentialStore } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { bytesOf, HOUR } from './derive-world.js';
import { invalidateWorld } from './invalidate-world.js';

/** One entry of a cache, however the library calls it. */
interface Adapter {
  readonly target: KeyedCache & { clear(): unknown };
  readonly set: (key: string) => unknown;
  readonly has: (key: string) => Promise<boolean>;
}

const libraries: readonly (readonly [string, () => Adapter])[] = [
  [
    'Map',
    () => {
      const target = new Map<string, number>();
      return { target, set: (key) => target.set(key, 1), has: async (key) => target.has(key) };
    },
  ],
  [
    'lru-cache',
    () => {
      const target = new LRUCache<string, number>({ max: 100 });
      return { target, set: (key) => target.set(key, 1), has: async (key) => target.has(key) };
    },
  ],
  [
    'keyv',
    () => {
      const target = new Keyv<number>();
      return { target, set: (key) => target.set(key, 1), has: (key) => target.has(key) };
    },
  ],
  [
    'cache-manager',
    () => {
      const target = createCache();
      const has = async (key: string) => (await target.get(key)) !== undefined;
      return { target, set: (key) => target.set(key, 1), has };
    },
  ],
];

describe.each(libraries)('entries of a cache of %s', (_name, create) => {
  it('are removed with every change but renewed, and no others are', async () => {
    const { clock, memory, save, keep } = invalidateWorld();
    const { target, set, has } = create();
    keep(target);
    await save('one');
    await set('other');
    for (const change of ['saved', 'renewed', 'expired', 'cleared', 'evicted', 'unreadable']) {
      await save(`before ${change}`);
      await set('k');
      expect(await has('k')).toBe(true);
      if (change === 'saved') memory.set('k', bytesOf('two'));
      if (change === 'renewed') memory.expire('k', HOUR);
      if (change === 'expired') memory.expire('k', 500);
      if (change === 'cleared') memory.delete('k');
      if (change === 'evicted') memory.evict('k');
      if (change === 'unreadable') memory.set('k', 'no JSON');
      await clock.advance(1_000);
      expect([change, await has('k')]).toEqual([change, change === 'renewed']);
    }
    expect(await has('other')).toBe(true);
  });

  it('are all removed where all depend on the credential', async () => {
    const { store, save } = invalidateWorld();
    const { target, set, has } = create();
    const kept = invalidate(target, store, { all: true });
    await save('one');
    await set('a');
    await set('b');
    await save('two');
    expect([await has('a'), await has('b')]).toEqual([false, false]);
    kept.close();
    await set('a');
    await save('three');
    expect(await has('a')).toBe(true);
  });
});

describe('entries are removed', () => {
  it('at once, because they may be older than the watch, and again when it has begun', async () => {
    const { clock, save, keep } = invalidateWorld();
    const cache = new Map([['k', 1]]);
    await save('one');
    keep(cache);
    expect(cache.size).toBe(0);
    cache.set('k', 1);
    await clock.settle();
    expect(cache.size).toBe(0);
    cache.set('k', 1);
    await clock.advance(HOUR);
    expect(cache.size).toBe(1);
  });

  it('at once also when the store has been watched for long', async () => {
    const { clock, store, save, keep } = invalidateWorld();
    const cache = new Map([['k', 1]]);
    await store.ready();
    await save('one');
    keep(cache);
    expect(cache.size).toBe(0);
    cache.set('k', 1);
    await clock.advance(HOUR);
    expect(cache.size).toBe(1);
  });

  it('when the credential is withheld', async () => {
    const { clock, memory, save, keep } = invalidateWorld({ maxStalenessMs: 1_000 });
    const cache = new Map<string, number>();
    keep(cache);
    await save('one');
    cache.set('k', 1);
    memory.disconnect();
    await clock.advance(999);
    expect(cache.size).toBe(1);
    await clock.advance(1);
    expect(cache.size).toBe(0);
    cache.set('k', 1);
    memory.reconnect();
    await clock.settle();
    expect(cache.size).toBe(0);
  });

  it('after a gap, although the credential is the same at both of its ends', async () => {
    const { clock, memory, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    keep(cache);
    await save('one');
    memory.disconnect();
    memory.set('k', bytesOf('two'));
    cache.set('k', 2);
    memory.set('k', bytesOf('one'));
    await clock.settle();
    expect(cache.size).toBe(1);
    memory.reconnect();
    await clock.settle();
    expect(cache.size).toBe(0);
  });

  it('when other bytes mean the same credentials', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<string>({ key: 'k', memory: memory });
    const cache = new Map<string, number>();
    using _kept = invalidate(cache, store, { keys: 'k' });
    memory.set('k', '"one"');
    await clock.settle();
    cache.set('k', 1);
    memory.set('k', ' "one"');
    await clock.settle();
    expect(cache.size).toBe(0);
  });

  it('before later listeners read the cache', async () => {
    const { store, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    keep(cache);
    const seen: number[] = [];
    store.credentials$.subscribe(() => seen.push(cache.size));
    await save('one');
    cache.set('k', 1);
    await save('two');
    expect(seen).toEqual([0, 0]);
  });

  it('when only the end moved, if the option asks for it', async () => {
    const { clock, memory, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    keep(cache, { onRenewed: true });
    await save('one');
    cache.set('k', 1);
    memory.expire('k', HOUR);
    await clock.settle();
    expect(cache.size).toBe(0);
  });

  it('when the store is closed, and not after that', async () => {
    const { clock, store, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    const kept = keep(cache);
    await save('one');
    cache.set('k', 1);
    await store.close();
    expect(cache.size).toBe(0);
    expect([kept.guard()(), clock.pendingTimers]).toEqual([false, 0]);
  });

  it('not when the handle is closed', async () => {
    const { store, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    const kept = keep(cache);
    await save('one');
    cache.set('k', 1);
    kept.close();
    kept.close();
    expect(store.status.link).toBe('idle');
    await save('two');
    expect(cache.size).toBe(1);
  });

  it('by the names that `keys` gives', async () => {
    const { store, save, keep } = invalidateWorld();
    const cache = new Map<string, number>();
    const fill = () => {
      for (const key of ['a', 'b', 'aa']) cache.set(key, 1);
    };
    keep(cache, { keys: 'aa' });
    await save('one');
    fill();
    await save('two');
    expect([...cache.keys()]).toEqual(['a', 'b']);
    const names = ['a', 'b'];
    keep(cache, { keys: names });
    names.length = 0;
    expect(cache.size).toBe(0);
    cache.set('a', 1);
    // A function is asked each time; a string is one name, not its characters.
    const asked: string[] = [];
    const cities = new Map<string, number>();
    keep(cities, {
      keys: (id) => {
        asked.push(id);
        return cities.has('all') ? cities.keys() : 'ab';
      },
    });
    for (const key of ['a', 'b', 'ab']) cities.set(key, 1);
    await save('three');
    expect(cache.size).toBe(0);
    expect([...cities.keys()]).toEqual(['a', 'b']);
    cities.set('all', 1);
    await save('four');
    expect([cities.size, [...new Set(asked)]]).toEqual([0, [store.id]]);
  });
});

describe('invalidate', () => {
  it('refuses wrong options by name', () => {
    const { store } = invalidateWorld();
    const refused: readonly (readonly [string, unknown])[] = [
      ['keys', []],
      ['keys', ['a', 1]],
      ['keys', 1],
      ['all', 1],
      ['clearAll', true],
      ['onRenewed', 'yes'],
      ['removalTimeoutMs', 0],
      ['onCallbackError', 1],
      ['clock', 1],
      ['random', 1],
      ['key', 'k'],
    ];
    for (const [option, value] of refused) {
      expect(() => invalidate(new Map<string, 1>(), store, { keys: 'k', [option]: value })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option }),
      );
    }
    const both: object = { all: true, keys: 'k' };
    expect(() => invalidate(new Map(), store, both as { all: true })).toThrow(
      expect.objectContaining({ option: 'keys' }),
    );
    for (const none of [undefined, null, {}, { clear: () => undefined }]) {
      expect(() => invalidate(none as never, store, { keys: 'k' })).toThrow(
        expect.objectContaining({ option: 'target' }),
      );
    }
    expect(() => invalidate({ delete: () => 1 } as never, store, { all: true })).toThrow(
      expect.objectContaining({ option: 'target' }),
    );
    expect(store.status.link).toBe('idle');
  });

  it('requires `keys` or `all: true`, because a cache has no entry of the name of the credential', () => {
    const { store } = invalidateWorld();
    for (const options of [{}, { all: false }, { keys: undefined }, { onRenewed: true }]) {
      expect(() => invalidate(new Map<string, 1>(), store, options as { keys: string })).toThrow(
        /^keys: must name the entries that depend on the credential; `all: true` instead/,
      );
    }
    expect(store.status.link).toBe('idle');
  });

  it('refuses a store that this package did not make', () => {
    const { store } = invalidateWorld();
    const { changes$, state$, status$ } = store;
    for (const other of [
      undefined,
      null,
      {},
      { changes$, state$, status$ },
      Object.create(store),
    ]) {
      const call = () => invalidate(new Map<string, 1>(), other as typeof store, { keys: 'k' });
      expect(call).toThrow(
        /^store: must be made by this package: a RedisCredentialStore, a MemoryCredentialStore or/,
      );
      expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option: 'store' }));
    }
    expect(store.status.link).toBe('idle');
  });
});
