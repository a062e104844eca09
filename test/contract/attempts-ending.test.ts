import { describe, expect, it } from 'vitest';

import { deferred } from '../support/wait.js';
import { backendOf, INTERVAL_MS, LEASE_MS, onBothBackends } from './attempts-world.js';

onBothBackends('an attempt', (scene) => {
  describe('renewing', () => {
    it('prolongs the lease', async () => {
      await scene.one.start('a', { leaseMs: 100 });
      expect(await scene.one.renew('a')).toBe('held');
      await scene.world.advance(101);
      expect((await scene.two.start('b')).type).toBe('held');
    });

    it('says whether another attempt has started, or this one has ended', async () => {
      await scene.one.start('a', { leaseMs: 1 });
      await scene.world.advance(INTERVAL_MS + 1);
      // Nobody has started meanwhile: it goes on.
      expect(await scene.one.renew('a', 1)).toBe('held');
      await scene.world.advance(2);
      await scene.two.start('b');
      expect(await scene.one.renew('a')).toBe('superseded');
      await scene.two.end('b', 'failed');
      expect(await scene.two.renew('b')).toBe('ended');
    });

    it('writes a lost record again', async () => {
      await scene.one.start('a');
      await scene.world.outside.flush();
      expect(await scene.one.renew('a')).toBe('held');
      expect(await scene.two.start('b')).toMatchObject({
        type: 'held',
        record: { id: 'a', instance: scene.one.instance, number: 7, outcome: 'running' },
      });
    });
  });

  describe('ending', () => {
    it('takes effect once when it is sent twice', async () => {
      await scene.one.start('a');
      await scene.one.end('a', 'failed', { failures: 2 });
      await scene.one.end('a', 'failed', { failures: 2 });
      await scene.world.advance(INTERVAL_MS + 1);
      expect(await scene.two.start('b')).toMatchObject({ record: { number: 2, failures: 2 } });
    });

    it('does nothing to a later attempt, nor to a committed one', async () => {
      await scene.one.start('a', { leaseMs: 1 });
      await scene.world.advance(INTERVAL_MS + 1);
      await scene.two.start('b');
      await scene.one.end('a', 'fatal');
      expect(await scene.two.renew('b')).toBe('held');
      await scene.two.commit('b', 'new', 'old');
      await scene.two.end('b', 'fatal');
      await scene.world.advance(INTERVAL_MS + 1);
      expect((await scene.one.start('c')).type).toBe('started');
    });

    it('is announced to every subscriber', async () => {
      await scene.one.start('a');
      const { promise: emitted, resolve } = deferred();
      const store = scene.world.stores[2]!;
      const subscriber = {
        size: 1,
        maxStalenessMs: Infinity,
        hint: (_key: string, hint: { readonly type: string }) => {
          if (hint.type === 'attempt') resolve();
        },
        conditionChanged: ({ link }: { readonly link: string }) => {
          if (link === 'live') void scene.one.end('a', 'failed');
        },
        pollNext: () => 'none' as const,
        pollAll: () => 'none' as const,
      };
      const subscription = backendOf(scene.world, 2).subscribe(scene.world, subscriber);
      await emitted;
      subscription.close();
      await store.close();
    });
  });

  describe('clearing a failure', () => {
    it('clears the fatal outcome of this attempt, and of no other', async () => {
      await scene.one.start('a');
      await scene.one.end('a', 'fatal', { failures: 4, pauseMs: LEASE_MS });
      await scene.two.settle('other');
      expect((await scene.two.start('b')).type).toBe('fatal');
      await scene.two.settle('a');
      await scene.two.settle('a');
      expect(await scene.two.start('b')).toMatchObject({
        type: 'started',
        record: { failures: 0 },
      });
    });

    it('does not touch an attempt that failed in another way, or runs', async () => {
      await scene.one.start('a');
      await scene.two.settle('a');
      expect(await scene.one.renew('a')).toBe('held');
      await scene.one.end('a', 'failed', { pauseMs: LEASE_MS });
      await scene.two.settle('a');
      expect((await scene.two.start('b')).type).toBe('early');
    });

    it('removes a tombstone, but only while something is stored', async () => {
      await scene.world.stores[0]!.clear();
      await scene.one.settle('');
      expect((await scene.one.start('a')).type).toBe('cleared');
      await scene.world.outside.set(scene.world.key, 'new');
      await scene.one.settle('');
      await scene.world.outside.delete(scene.world.key);
      expect((await scene.one.start('a')).type).toBe('started');
    });

    it('removes a tombstone from before a reading that found something stored, although it is gone now', async () => {
      const before = await scene.world.now();
      await scene.world.stores[0]!.clear();
      await scene.world.advance(10);
      await scene.world.outside.set(scene.world.key, 'new');
      const storedAt = await scene.world.now();
      await scene.world.outside.delete(scene.world.key);
      await scene.one.settle('', before);
      expect((await scene.one.start('a')).type).toBe('cleared');
      await scene.one.settle('', storedAt);
      expect(await scene.one.start('a')).toMatchObject({ type: 'started', afterClear: false });
    });

    it('is not needed after a save, which ends a clear itself', async () => {
      await scene.world.stores[0]!.clear();
      await scene.world.stores[1]!.save('new');
      await scene.world.outside.delete(scene.world.key);
      expect(await scene.one.start('a')).toMatchObject({ type: 'started', afterClear: false });
    });

    it('is not needed for an attempt from before a clear to store nothing after the clear has ended', async () => {
      await scene.one.start('a');
      await scene.world.stores[0]!.clear();
      await scene.world.stores[1]!.save('new');
      await scene.world.outside.delete(scene.world.key);
      expect(await scene.one.commit('a', 'late', 'old')).toBe('cleared');
      expect(await scene.world.outside.get(scene.world.key)).toBeUndefined();
    });

    it('leaves a tombstone from after a reading that found something stored', async () => {
      const storedAt = await scene.world.now();
      await scene.world.advance(10);
      await scene.world.stores[0]!.clear();
      await scene.one.settle('', storedAt);
      expect((await scene.one.start('a')).type).toBe('cleared');
    });
  });
});
