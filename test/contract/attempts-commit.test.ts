import { describe, expect, it } from 'vitest';

import { CLEARED_MS } from '../../src/backend/attempts.js';
import { eventually } from '../support/wait.js';
import { INTERVAL_MS, LEASE_MS, onBothBackends } from './attempts-world.js';

onBothBackends('a commit of an attempt', (scene) => {
  const stored = (): Promise<string | undefined> => scene.world.outside.get(scene.world.key);
  const clear = (): Promise<boolean> => scene.world.stores[2]!.clear();

  it('stores the new bytes in place of the old ones, and ends the attempt', async () => {
    const { one, two, world } = scene;
    await one.start('a');
    expect(await one.commit('a', 'new', 'old', { failures: 0, pauseMs: 1_000 })).toBe('committed');
    expect(await stored()).toBe('new');
    expect(await one.renew('a')).toBe('ended');
    const early = await two.start('b');
    expect(early).toMatchObject({ type: 'early', record: { id: 'a', outcome: 'committed' } });
    if (early.type !== 'early') return;
    expect(early.leftMs).toBeLessThanOrEqual(1_000);
    await world.advance(early.leftMs);
    expect(await two.start('b')).toMatchObject({ type: 'started', record: { number: 8 } });
  });

  it('takes effect once when it is sent twice, whatever comes between', async () => {
    const { one, world } = scene;
    await one.start('a');
    await one.commit('a', 'new', 'old');
    await world.outside.set(world.key, 'newer');
    expect(await one.commit('a', 'new', 'old')).toBe('committed');
    expect(await stored()).toBe('newer');
  });

  it('takes effect once when it is sent again after other attempts have started', async () => {
    const { one, two, world } = scene;
    await one.start('a');
    await one.commit('a', 'new', 'old');
    for (const id of ['b', 'c']) {
      await world.advance(INTERVAL_MS + 1);
      await two.start(id);
      expect(await one.commit('a', 'new', 'old')).toBe('committed');
      await two.end(id, 'needless');
      expect(await one.commit('a', 'new', 'old')).toBe('committed');
    }
    await world.advance(INTERVAL_MS + 1);
    await two.start('d');
    expect(await two.commit('d', 'newer', 'new')).toBe('committed');
    expect(await one.commit('a', 'new', 'old')).toBe('superseded');
    expect(await stored()).toBe('newer');
  });

  it('is refused when another attempt has started, even one that has ended', async () => {
    const { one, two, world } = scene;
    await one.start('a', { leaseMs: 1 });
    await world.advance(INTERVAL_MS + 1);
    await two.start('b');
    expect(await one.commit('a', 'new', 'old')).toBe('superseded');
    await two.end('b', 'failed');
    expect(await one.commit('a', 'new', 'old')).toBe('superseded');
    expect(await stored()).toBe('old');
  });

  it('is not refused because of attempts that started after a loss of data, and takes the lease back', async () => {
    const { one, two, world } = scene;
    await world.outside.set(world.key, 'old');
    await one.start('a');
    await world.outside.flush();
    expect(await two.start('b')).toMatchObject({ record: { startedFromNothing: true } });
    expect(await one.renew('a')).toBe('held');
    expect(await two.renew('b')).toBe('superseded');
    await world.outside.flush();
    await two.start('c');
    await two.end('c', 'failed');
    await world.advance(INTERVAL_MS + 1);
    expect(await two.start('d')).toMatchObject({ record: { startedFromNothing: true, number: 2 } });
    expect(await one.commit('a', 'new', 'old')).toBe('committed');
    expect(await two.commit('d', 'newer', undefined)).toBe('superseded');
    expect(await stored()).toBe('new');
  });

  it('is refused when other attempts started after a clear, or when the attempt had started from nothing', async () => {
    const { one, two, world } = scene;
    await world.outside.set(world.key, 'old');
    await one.start('a', { leaseMs: 1 });
    await clear();
    await world.advance(INTERVAL_MS + 1);
    const start = await two.start('b', { clearedBefore: Infinity });
    expect(start.type).toBe('started');
    expect(await one.commit('a', 'new', 'old')).toBe('superseded');
    await world.outside.flush();
    await one.start('c', { leaseMs: 1 });
    await world.advance(INTERVAL_MS + 1);
    await two.start('d');
    expect(await one.renew('c')).toBe('superseded');
    expect(await one.commit('c', 'new', undefined)).toBe('superseded');
    expect(await stored()).toBeUndefined();
  });

  it('is accepted late when no other attempt has started', async () => {
    const { one, world } = scene;
    await one.start('a', { leaseMs: 1 });
    await world.advance(2);
    await one.end('a', 'unanswered', { pauseMs: LEASE_MS });
    expect(await one.commit('a', 'new', 'old')).toBe('committed');
    expect(await stored()).toBe('new');
  });

  it('is refused when other bytes are stored, and the record stays', async () => {
    const { one, two, world } = scene;
    await one.start('a');
    await world.outside.set(world.key, 'other');
    expect(await one.commit('a', 'new', 'old')).toBe('conflict');
    expect(await one.commit('a', 'new', undefined)).toBe('conflict');
    expect(await stored()).toBe('other');
    expect((await two.start('b')).type).toBe('held');
  });

  it('counts as done when the same bytes are stored already', async () => {
    const { one, world } = scene;
    await one.start('a');
    await world.outside.set(world.key, 'new');
    expect(await one.commit('a', 'new', 'old')).toBe('committed');
    expect(await one.renew('a')).toBe('ended');
  });

  it('distinguishes empty bytes from none', async () => {
    const { one, world } = scene;
    await one.start('a');
    await world.outside.set(world.key, '');
    expect(await one.commit('a', 'new', undefined)).toBe('conflict');
    expect(await one.commit('a', 'new', '')).toBe('committed');
    await world.advance(1);
    await one.start('b');
    expect(await one.commit('b', '', 'new')).toBe('committed');
    expect(await stored()).toBe('');
  });

  describe('where nothing is stored any more', () => {
    it('stores the result of an attempt that started from nothing', async () => {
      const { one, world } = scene;
      await world.outside.delete(world.key);
      await one.start('a');
      expect(await one.commit('a', 'new', undefined)).toBe('committed');
      expect(await stored()).toBe('new');
    });

    it.each([
      ['the API cleared it', () => clear()],
      [
        'it was cleared and all data were lost',
        async () => {
          await clear();
          await scene.world.outside.flush();
          await clear();
        },
      ],
      [
        'all data were lost and then it was cleared',
        async () => {
          await scene.world.outside.flush();
          await clear();
        },
      ],
    ] as const)('is refused because %s', async (_why, remove) => {
      await scene.one.start('a');
      await remove();
      expect(await scene.one.commit('a', 'new', 'old')).toBe('cleared');
      expect(await stored()).toBeUndefined();
    });

    it('is refused because of a clear although the attempt started from nothing', async () => {
      await scene.world.outside.delete(scene.world.key);
      await scene.one.start('a');
      await clear();
      expect(await scene.one.commit('a', 'new', undefined)).toBe('cleared');
      expect(await stored()).toBeUndefined();
    });

    it('is refused when the attempt started before the oldest tombstone that Redis can still hold', async () => {
      const { one, world } = scene;
      const startedAt = (await world.now()) - CLEARED_MS - 1;
      await one.start('a');
      await world.outside.flush();
      expect(await one.commit('a', 'new', 'old', { startedAt })).toBe('cleared');
      expect(await one.commit('a', 'new', undefined, { startedAt })).toBe('cleared');
      await world.outside.set(world.key, 'old');
      expect(await one.commit('a', 'new', 'old', { startedAt })).toBe('committed');
    });

    it.each([
      ['all data were lost', () => Promise.resolve()],
      ['and the lease was renewed', () => scene.one.renew('a')],
      ['and it was given up', () => scene.one.end('a', 'unanswered')],
      [
        'and it was renewed and given up',
        async () => {
          await scene.one.renew('a');
          await scene.one.end('a', 'unanswered');
        },
      ],
    ] as const)('stores the result when %s', async (_why, after) => {
      await scene.one.start('a');
      await scene.world.outside.flush();
      await after();
      expect(await scene.one.commit('a', 'new', 'old')).toBe('committed');
      expect(await stored()).toBe('new');
    });

    it('stores the result when the old bytes have ended meanwhile', async () => {
      const { one, world } = scene;
      await world.outside.set(world.key, 'old', 50);
      await one.start('a');
      await world.advance(60);
      expect(await one.commit('a', 'new', 'old')).toBe('committed');
      expect(await stored()).toBe('new');
    });

    it('stores the result when another client removed the old bytes', async () => {
      const { one, world } = scene;
      await one.start('a');
      await world.outside.delete(world.key);
      expect(await one.commit('a', 'new', 'old')).toBe('committed');
      expect(await stored()).toBe('new');
    });

    it('is refused because of a clear after another removal, also once the clear has ended', async () => {
      const { one, two, world } = scene;
      await one.start('a');
      await world.outside.delete(world.key);
      await clear();
      expect(await one.commit('a', 'new', 'old')).toBe('cleared');
      await world.outside.set(world.key, 'old');
      await one.settle('');
      await world.outside.delete(world.key);
      expect(await one.commit('a', 'new', 'old')).toBe('superseded');
      expect(await one.renew('a')).toBe('superseded');
      expect(await two.start('b')).toMatchObject({ type: 'started', afterClear: false });
    });

    it('does not undo the clear of bytes that another client saved meanwhile', async () => {
      const { one, world } = scene;
      await one.start('a');
      await world.stores[2]!.save('other');
      await clear();
      expect(await one.commit('a', 'new', 'old')).toBe('cleared');
    });
  });

  it('gives the bytes the end that the commit asks for', async () => {
    const { one, world } = scene;
    const ttl = (): Promise<number | undefined> => world.outside.ttlMs(world.key);
    const again = async (id: string, more: object): Promise<number | undefined> => {
      await one.start(id);
      expect(await one.commit(id, id, await stored(), more)).toBe('committed');
      await world.advance(1);
      return ttl();
    };
    await one.start('a');
    const given = await again('a', { ttl: 50_000 });
    expect(given).toBeGreaterThan(40_000);
    expect(given).toBeLessThanOrEqual(50_000);
    const kept = await again('b', { ttl: 'keep' });
    expect(kept).toBeGreaterThan(40_000);
    expect(kept).toBeLessThanOrEqual(given ?? 0);
    expect(await again('c', { ttl: 'none' })).toBeUndefined();
    expect(await again('d', { ttl: 'keep' })).toBeUndefined();
    await world.outside.delete(world.recordKey);
    await world.outside.delete(world.key);
    await one.start('e');
    expect(await one.commit('e', 'e', undefined, { ttl: 'keep' })).toBe('committed');
    expect(await ttl()).toBeUndefined();
  });

  it('is announced as a saved change of its instance', async () => {
    const { one, world } = scene;
    const store = world.stores[1]!;
    const changes: unknown[] = [];
    store.on('saved', ({ credentials, origin }) => changes.push([credentials, origin]));
    await store.ready();
    await store.load();
    await one.start('a');
    await one.commit('a', 'new', 'old');
    await eventually(() =>
      expect(changes).toEqual([
        ['new', { instance: one.instance, name: expect.any(String) as unknown }],
      ]),
    );
  });
});
