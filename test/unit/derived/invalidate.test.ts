import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { LRUCache } from 'lru-cache';
import { describe, expect, it, onTestFinished } from 'vitest';

import {
  CredentialMemory,
  type Invalidation,
  invalidate,
  type InvalidateOptions,
  type KeyedCache,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
  type ObservableCredentialStore,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred, type Deferred } from '../../support/wait.js';
import { bytesOf, HOUR, type Reported, type Token } from './derive-world.js';

/** Without `keys`: the entry `k`. */
type KeepOptions = Pick<InvalidateOptions, 'onRenewed' | 'removalTimeoutMs'> & {
  readonly keys?: NonNullable<InvalidateOptions['keys']>;
};

interface InvalidateWorld {
  readonly clock: VirtualClock;
  readonly memory: CredentialMemory;
  readonly store: MemoryCredentialStore<Token>;
  readonly reported: Reported[];
  readonly save: (token: string) => Promise<void>;
  readonly keep: (target: KeyedCache, options?: KeepOptions) => Invalidation;
}

function world(options: Partial<MemoryCredentialStoreOptions<Token>> = {}): InvalidateWorld {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock, random: () => 0 });
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory, ...options });
  const reported: Reported[] = [];
  const made: Invalidation[] = [];
  onTestFinished(async () => {
    for (const one of made) one.close();
    await store.close();
    expect(clock.pendingTimers).toBe(0);
  });
  return {
    clock,
    memory,
    store,
    reported,
    save: async (token) => {
      memory.set('k', bytesOf(token));
      await clock.settle();
    },
    keep: (target, more = {}) => {
      const onCallbackError = (error: unknown, where: string) =>
        void reported.push({ error, where });
      const kept = invalidate(target, store, {
        keys: 'k',
        onCallbackError: onCallbackError,
        ...more,
      });
      made.push(kept);
      return kept;
    },
  };
}

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
  it('go with every change but renewed, and no others go', async () => {
    const { clock, memory, save, keep } = world();
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

  it('all go where everything depends on the credential', async () => {
    const { store, save } = world();
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

describe('entries go', () => {
  it('at once, because they may be older than the watch, and when it has begun', async () => {
    const { clock, save, keep } = world();
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
    const { clock, store, save, keep } = world();
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
    const { clock, memory, save, keep } = world({ maxStalenessMs: 1_000 });
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
    const { clock, memory, save, keep } = world();
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

  it('before those who are told later look into the cache', async () => {
    const { store, save, keep } = world();
    const cache = new Map<string, number>();
    keep(cache);
    const seen: number[] = [];
    store.credentials$.subscribe(() => seen.push(cache.size));
    await save('one');
    cache.set('k', 1);
    await save('two');
    expect(seen).toEqual([0, 0]);
  });

  it('when only the end moved, if that is wanted', async () => {
    const { clock, memory, save, keep } = world();
    const cache = new Map<string, number>();
    keep(cache, { onRenewed: true });
    await save('one');
    cache.set('k', 1);
    memory.expire('k', HOUR);
    await clock.settle();
    expect(cache.size).toBe(0);
  });

  it('when the store is closed, and then no more', async () => {
    const { clock, store, save, keep } = world();
    const cache = new Map<string, number>();
    const kept = keep(cache);
    await save('one');
    cache.set('k', 1);
    await store.close();
    expect(cache.size).toBe(0);
    expect([kept.guard()(), clock.pendingTimers]).toEqual([false, 0]);
  });

  it('not when the handle is closed', async () => {
    const { store, save, keep } = world();
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

  it('by the names that are asked for', async () => {
    const { store, save, keep } = world();
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

describe('a removal that fails', () => {
  it('is reported and tried again until it succeeds, with pauses that grow', async () => {
    const { clock, save, keep, reported } = world();
    const times: number[] = [];
    let failures = 0;
    const cache = {
      delete: (): Promise<boolean> => {
        times.push(clock.now());
        failures += 1;
        return failures <= 8 ? Promise.reject(new Error('down')) : Promise.resolve(true);
      },
    };
    failures = 10;
    keep(cache);
    await save('one');
    failures = 0;
    times.length = 0;
    await save('two');
    await clock.advance(HOUR);
    const pauses = times.slice(1).map((at, index) => (at - times[index]!) / 1_000);
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(reported).toHaveLength(8);
    expect(reported[0]).toMatchObject({
      error: { message: 'down' },
      where: 'removal from a cache',
    });
  });

  it('may throw, holds up no other, and is tried at once when there is a new reason', async () => {
    const { clock, save, keep, reported } = world();
    const removed: string[] = [];
    let broken = true;
    const cache = {
      del: (key: string) => {
        if (key === 'bad' && broken) throw new Error('thrown');
        removed.push(key);
      },
    };
    keep(cache, { keys: ['bad', 'good'] });
    await save('one');
    expect([removed.includes('good'), reported[0]]).toMatchObject([
      true,
      { error: { message: 'thrown' } },
    ]);
    broken = false;
    removed.length = 0;
    await save('two');
    expect(removed).toEqual(['bad', 'good']);
    await clock.advance(HOUR);
    expect(removed).toEqual(['bad', 'good']);
  });

  it('is the failing of keys too', async () => {
    const { clock, keep, reported } = world();
    const cache = new Map([['a', 1]]);
    let broken = true;
    keep(cache, {
      keys: () => {
        if (broken) throw new Error('thrown');
        return ['a'];
      },
    });
    expect([cache.size, reported[0]]).toMatchObject([1, { where: 'keys of a cache' }]);
    broken = false;
    await clock.advance(2_000);
    expect(cache.size).toBe(0);
  });

  it('is not tried again once the handle is closed, also by onCallbackError', async () => {
    const { clock, store, save } = world();
    let calls = 0;
    const cache = { delete: () => Promise.reject(new Error(String((calls += 1)))) };
    const kept = invalidate(cache, store, {
      keys: 'k',
      onCallbackError: () => {
        kept.close();
      },
    });
    await save('one');
    await clock.advance(HOUR);
    expect([calls <= 2, clock.pendingTimers]).toEqual([true, 0]);
  });

  it('begins with the short pause again after one that succeeded', async () => {
    const { clock, store, save } = world();
    const calls: number[] = [];
    let fails = 0;
    const clear = (): void => {
      calls.push(clock.now());
      fails -= 1;
      if (fails >= 0) throw new Error('down');
    };
    const options = { onCallbackError: () => undefined, all: true } as const;
    using _kept = invalidate({ clear }, store, options);
    await clock.settle();
    for (const token of ['one', 'two']) {
      calls.length = 0;
      fails = 3;
      await save(token);
      await clock.advance(HOUR);
      expect(calls.slice(1).map((at, index) => at - calls[index]!)).toEqual([1_000, 2_000, 4_000]);
    }
  });

  it('leaves no timer when the cache itself closes the handle', async () => {
    const { clock, save, keep } = world();
    let close = (): void => undefined;
    const kept = keep({
      delete: () => {
        close();
        return Promise.reject(new Error('down'));
      },
    });
    close = () => {
      kept.close();
    };
    await save('one');
    expect(clock.pendingTimers).toBe(0);
  });

  it('is one that takes too long', async () => {
    const { clock, keep, reported } = world();
    const calls: Deferred<void>[] = [];
    const kept = keep(
      {
        delete: () => {
          calls.push(deferred());
          return calls.at(-1)!.promise;
        },
      },
      { removalTimeoutMs: 100 },
    );
    await clock.advance(99);
    expect(calls.length).toBe(1);
    await clock.advance(1_001);
    expect([calls.length, reported[0]]).toMatchObject([2, { error: { code: 'TIMEOUT' } }]);
    // The late answer of the first is not that of the second.
    calls[0]!.resolve();
    await clock.advance(100);
    expect(reported).toHaveLength(2);
    kept.close();
  });
});

describe('removals of one key', () => {
  it('never overlap, and what is asked for meanwhile is done afterwards, once', async () => {
    const { clock, memory, save, keep } = world();
    const calls: Deferred<void>[] = [];
    let running = 0;
    let most = 0;
    keep({
      delete: async () => {
        running += 1;
        most = Math.max(most, running);
        const call = deferred();
        calls.push(call);
        await call.promise;
        running -= 1;
      },
    });
    await clock.settle();
    const settle = async () => {
      for (const call of calls) call.resolve();
      await clock.settle();
    };
    await settle();
    await settle();
    await settle();
    const before = calls.length;
    for (const token of ['one', 'two', 'three']) await save(token);
    expect(calls.length).toBe(before + 1);
    await settle();
    expect(calls.length).toBe(before + 2);
    await settle();
    expect([calls.length, most]).toEqual([before + 2, 1]);
    memory.delete('k');
    await clock.settle();
    expect(calls.length).toBe(before + 3);
    await settle();
  });
});

describe('a guard', () => {
  const fill = async (
    kept: Invalidation,
    cache: Map<string, string>,
    store: ObservableCredentialStore<Token>,
    meanwhile: () => Promise<void>,
  ): Promise<void> => {
    const stillTrue = kept.guard();
    const made = store.current?.credentials.token ?? 'nobody';
    await meanwhile();
    if (stillTrue()) cache.set('k', made);
  };

  it('lets entries in that are true', async () => {
    const { clock, memory, store, save, keep } = world();
    const cache = new Map<string, string>();
    const kept = keep(cache);
    await save('one');
    await fill(kept, cache, store, () => clock.advance(HOUR));
    expect(cache.get('k')).toBe('one');
    cache.clear();
    await fill(kept, cache, store, async () => {
      memory.expire('k', HOUR);
      await clock.settle();
    });
    expect(cache.get('k')).toBe('one');
    memory.delete('k');
    await clock.settle();
    await fill(kept, cache, store, () => clock.advance(HOUR));
    expect(cache.get('k')).toBe('nobody');
    await save('two');
    expect(cache.size).toBe(0);
  });

  it.each([
    'saved',
    'cleared',
    'saved twice',
    'withheld',
    'withheld for a while',
    'resync',
    'closed',
  ])('keeps out what was made before: %s', async (how) => {
    const { clock, memory, store, save, keep } = world({ maxStalenessMs: 1_000 });
    const cache = new Map<string, string>();
    const kept = keep(cache);
    await save('one');
    await fill(kept, cache, store, async () => {
      if (how.startsWith('saved')) await save('two');
      if (how === 'saved twice') await save('one');
      if (how === 'cleared') memory.delete('k');
      if (how.startsWith('withheld') || how === 'resync') memory.disconnect();
      if (how.startsWith('withheld')) await clock.advance(1_000);
      if (how === 'withheld for a while' || how === 'resync') memory.reconnect();
      if (how === 'closed') kept.close();
      await clock.settle();
    });
    expect(cache.size).toBe(0);
  });

  it('keeps out what nobody vouches for', async () => {
    const { clock, memory, store, save, keep } = world();
    const kept = keep(new Map());
    // Nothing is known yet.
    expect(kept.guard()()).toBe(false);
    await save('one');
    const before = kept.guard();
    expect(before()).toBe(true);
    // Timers are late: the state that was told is not true any longer.
    clock.sleep(HOUR);
    expect([before(), kept.guard()()]).toEqual([false, false]);
    await clock.settle();
    expect(kept.guard()()).toBe(true);
    memory.disconnect();
    await clock.advance(30_000);
    expect([store.state.type, kept.guard()()]).toEqual(['withheld', false]);
  });

  it('knows of a change before the handle is told of it', async () => {
    const { clock, store, save, keep } = world();
    const heard: boolean[] = [];
    let stillTrue: () => boolean = () => true;
    // Told before the handle is.
    store.state$.subscribe(() => heard.push(stillTrue()));
    const kept = keep(new Map());
    await clock.settle();
    for (const [state, token] of [
      ['absent', 'one'],
      ['present', 'two'],
    ] as const) {
      expect(store.state.type).toBe(state);
      stillTrue = kept.guard();
      expect(stillTrue()).toBe(true);
      heard.length = 0;
      await save(token);
      expect(heard).toEqual([false]);
    }
  });
});

describe('invalidate', () => {
  it('refuses what is no option, by name', () => {
    const { store } = world();
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

  it('asks for the entries, or for `all: true`, because a cache has no entry of the name of the credential', () => {
    const { store } = world();
    for (const options of [{}, { all: false }, { keys: undefined }, { onRenewed: true }]) {
      expect(() => invalidate(new Map<string, 1>(), store, options as { keys: string })).toThrow(
        /^keys: must name the entries that depend on the credential; `all: true` instead/,
      );
    }
    expect(store.status.link).toBe('idle');
  });

  it('refuses a store that this package did not make', () => {
    const { store } = world();
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
