import { describe, expect, it } from 'vitest';

import { invalidate } from 'credstream';

import { deferred, type Deferred } from '../../support/wait.js';
import { HOUR } from './derive-world.js';
import { invalidateWorld } from './invalidate-world.js';

describe('a removal that fails', () => {
  it('is reported and tried again until it succeeds, with growing pauses', async () => {
    const { clock, save, keep, reported } = invalidateWorld();
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

  it('may throw, delays no other, and is tried at once for a new reason', async () => {
    const { clock, save, keep, reported } = invalidateWorld();
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

  it('may be a failure of `keys`', async () => {
    const { clock, keep, reported } = invalidateWorld();
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
    const { clock, store, save } = invalidateWorld();
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

  it('starts again with the short pause after one that succeeded', async () => {
    const { clock, store, save } = invalidateWorld();
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
    const { clock, save, keep } = invalidateWorld();
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

  it('may be one that exceeds its time limit', async () => {
    const { clock, keep, reported } = invalidateWorld();
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
  it('never overlap, and a new reason meanwhile causes one more afterwards', async () => {
    const { clock, memory, save, keep } = invalidateWorld();
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
