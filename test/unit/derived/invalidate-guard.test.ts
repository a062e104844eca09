import { describe, expect, it } from 'vitest';

import type { Invalidation, ObservableCredentialStore } from 'credstream';

import { HOUR, type Token } from './derive-world.js';
import { invalidateWorld } from './invalidate-world.js';

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

  it('accepts entries that are still true', async () => {
    const { clock, memory, store, save, keep } = invalidateWorld();
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
  ])('rejects an entry made earlier: %s', async (how) => {
    const { clock, memory, store, save, keep } = invalidateWorld({ maxStalenessMs: 1_000 });
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

  it('rejects an entry while the credential is withheld', async () => {
    const { clock, memory, store, save, keep } = invalidateWorld();
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

  it('knows of a change before the handle receives it', async () => {
    const { clock, store, save, keep } = invalidateWorld();
    const received: boolean[] = [];
    let stillTrue: () => boolean = () => true;
    // Told before the handle is.
    store.state$.subscribe(() => received.push(stillTrue()));
    const kept = keep(new Map());
    await clock.settle();
    for (const [state, token] of [
      ['absent', 'one'],
      ['present', 'two'],
    ] as const) {
      expect(store.state.type).toBe(state);
      stillTrue = kept.guard();
      expect(stillTrue()).toBe(true);
      received.length = 0;
      await save(token);
      expect(received).toEqual([false]);
    }
  });
});
