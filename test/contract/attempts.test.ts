import { expect, it } from 'vitest';

import { INTERVAL_MS, LEASE_MS, newId, onBothBackends, speaker } from './attempts-world.js';

onBothBackends('the start of an attempt', (scene) => {
  it('is granted to one of many instances that ask at once', async () => {
    const three = speaker(scene.world, 2);
    const asking = [scene.one, scene.two, three].flatMap((instance) =>
      Array.from({ length: 10 }, () => instance.start(newId())),
    );
    const answers = await Promise.all(asking);
    const types = answers.map(({ type }) => type);
    expect(types.filter((type) => type === 'started')).toHaveLength(1);
    expect(types.filter((type) => type === 'held')).toHaveLength(29);
  });

  it('records the instance, the instant, the lease and the end of the credential', async () => {
    const before = await scene.world.now();
    const start = await scene.two.start('a', { endsAt: 2e12 + 0.5, leaseMs: 1_234 });
    const after = await scene.world.now();
    expect(start).toMatchObject({
      type: 'started',
      record: {
        id: 'a',
        instance: scene.two.instance,
        number: 1,
        outcome: 'running',
        failures: 0,
        endsAt: 2_000_000_000_000.5,
      },
    });
    if (start.type !== 'started') return;
    const { startedAt, leaseEndsAt, notBefore, inDoubt } = start.record;
    expect(startedAt).toBeGreaterThanOrEqual(before);
    expect(startedAt).toBeLessThanOrEqual(after);
    expect([leaseEndsAt - startedAt, notBefore - startedAt]).toEqual([1_234, INTERVAL_MS]);
    expect(inDoubt).toBeUndefined();
  });

  it('takes effect once when it is sent twice, and prolongs the lease', async () => {
    const first = await scene.one.start('a');
    const second = await scene.one.start('a', { leaseMs: 2 * LEASE_MS });
    expect(second.type).toBe('started');
    if (first.type !== 'started' || second.type !== 'started') return;
    const { leaseEndsAt, changedAt, ...same } = second.record;
    expect(leaseEndsAt).toBeGreaterThanOrEqual(first.record.leaseEndsAt + LEASE_MS);
    expect(changedAt).toBeGreaterThanOrEqual(first.record.changedAt!);
    expect({ ...first.record, leaseEndsAt: 0 }).toEqual({
      ...same,
      changedAt: first.record.changedAt,
      leaseEndsAt: 0,
    });
  });

  it('starts nothing when it is sent again after the attempt ended', async () => {
    await scene.one.start('a');
    await scene.one.end('a', 'failed');
    expect(await scene.one.start('a')).toMatchObject({
      type: 'started',
      record: { outcome: 'failed' },
    });
    await scene.world.advance(INTERVAL_MS + 1);
    expect(await scene.two.start('b')).toMatchObject({ type: 'started', record: { number: 2 } });
  });

  it('is refused while another attempt holds the lease', async () => {
    await scene.one.start('a', { leaseMs: 500 });
    const held = await scene.two.start('b');
    expect(held).toMatchObject({ type: 'held', record: { id: 'a', instance: scene.one.instance } });
    if (held.type !== 'held') return;
    expect(held.leftMs).toBeGreaterThan(0);
    expect(held.leftMs).toBeLessThanOrEqual(500);
    await scene.world.advance(held.leftMs + 1);
    expect(await scene.two.start('b')).toMatchObject({
      type: 'started',
      record: { id: 'b', number: 2, inDoubt: true },
    });
  });

  it('keeps its doubt when it is sent again', async () => {
    await scene.one.start('a', { leaseMs: 1 });
    await scene.world.advance(INTERVAL_MS + 1);
    await scene.two.start('b');
    expect(await scene.two.start('b')).toMatchObject({
      type: 'started',
      record: { inDoubt: true },
    });
  });

  it.each([
    ['unanswered', true],
    ['failed', undefined],
    ['unchanged', undefined],
    ['needless', undefined],
    ['discarded', undefined],
  ] as const)('after an attempt that ended as %s is in doubt: %s', async (outcome, inDoubt) => {
    await scene.one.start('a');
    await scene.one.end('a', outcome);
    await scene.world.advance(INTERVAL_MS + 1);
    const start = await scene.two.start('b');
    expect(start.type).toBe('started');
    if (start.type === 'started') expect(start.record.inDoubt).toBe(inDoubt);
  });

  it('stays in doubt while no attempt brings a result', async () => {
    await scene.one.start('a');
    await scene.one.end('a', 'unanswered');
    for (const [id, outcome] of [
      ['b', 'failed'],
      ['c', 'needless'],
      ['cc', 'failed'],
    ] as const) {
      await scene.world.advance(INTERVAL_MS + 1);
      expect(await scene.two.start(id)).toMatchObject({ record: { id, inDoubt: true } });
      await scene.two.end(id, outcome);
    }
    await scene.world.advance(INTERVAL_MS + 1);
    await scene.one.start('d');
    await scene.one.commit('d', 'new', 'old');
    await scene.world.advance(INTERVAL_MS + 1);
    const start = await scene.two.start('e');
    if (start.type === 'started') expect(start.record.inDoubt).toBeUndefined();
    expect(start.type).toBe('started');
  });

  it('is too early before the shortest interval, and during the pause of a failure', async () => {
    await scene.one.start('a', { minIntervalMs: 2_000 });
    await scene.one.end('a', 'needless', { pauseMs: 500 });
    const early = await scene.two.start('b');
    expect(early.type).toBe('early');
    if (early.type !== 'early') return;
    expect(early.leftMs).toBeGreaterThan(0);
    expect(early.leftMs).toBeLessThanOrEqual(500);
    await scene.world.advance(early.leftMs);
    expect((await scene.two.start('b')).type).toBe('started');
  });

  it('numbers the attempts, and passes on the number of failures', async () => {
    await scene.one.start('a');
    await scene.one.end('a', 'failed', { failures: 3 });
    await scene.world.advance(INTERVAL_MS + 1);
    expect(await scene.two.start('b')).toMatchObject({ record: { number: 2, failures: 3 } });
  });

  it('is refused after a fatal failure, for the same end and not for another', async () => {
    const end = 2e12;
    await scene.one.start('a', { endsAt: end });
    await scene.one.end('a', 'fatal', { endsAt: end, oauthError: 'invalid_grant', failures: 1 });
    await scene.world.advance(INTERVAL_MS + 1);
    for (const endsAt of [end, end - 1_000, end + 1_000]) {
      expect(await scene.two.start(newId(), { endsAt })).toMatchObject({
        type: 'fatal',
        leftMs: 0,
        record: { id: 'a', instance: scene.one.instance, oauthError: 'invalid_grant', endsAt: end },
      });
    }
    expect((await scene.two.start('b', { endsAt: end + 1_001 })).type).toBe('started');
  });

  it('is accepted for any end when the fatal failure had no end', async () => {
    await scene.one.start('a');
    await scene.one.end('a', 'fatal');
    await scene.world.advance(INTERVAL_MS + 1);
    expect((await scene.two.start('b')).type).toBe('fatal');
    expect((await scene.two.start('c', { endsAt: 2e12 })).type).toBe('started');
  });

  it('is refused after a fatal failure while nothing is stored', async () => {
    await scene.one.start('a', { endsAt: 2e12 });
    await scene.one.end('a', 'fatal', { endsAt: 2e12 });
    await scene.world.outside.delete(scene.world.key);
    await scene.world.advance(INTERVAL_MS + 1);
    expect((await scene.two.start('b')).type).toBe('fatal');
  });

  it('is refused after a clear, unless the caller wants to start then', async () => {
    await scene.world.stores[0]!.clear();
    expect(await scene.two.start('a')).toEqual({ type: 'cleared' });
    expect(await scene.two.start('a', { clearedBefore: Infinity })).toMatchObject({
      type: 'started',
      afterClear: true,
    });
    await scene.two.end('a', 'failed');
    await scene.world.advance(INTERVAL_MS + 1);
    // Who started took the mark away.
    expect((await scene.one.start('b')).type).toBe('started');
  });

  it('is not refused because of a clear before the last observation of the credential', async () => {
    const before = await scene.world.now();
    await scene.world.stores[0]!.clear();
    await scene.world.advance(10);
    const after = await scene.world.now();
    expect((await scene.two.start('a', { clearedBefore: before - 5 })).type).toBe('cleared');
    expect((await scene.two.start('a', { clearedBefore: after })).type).toBe('started');
  });

  it('is not refused because of an old clear while something is stored, even empty bytes', async () => {
    await scene.world.stores[0]!.clear();
    await scene.world.outside.set(scene.world.key, '');
    expect((await scene.one.start('a')).type).toBe('started');
    await scene.one.end('a', 'failed');
    await scene.world.outside.delete(scene.world.key);
    await scene.world.advance(INTERVAL_MS + 1);
    expect((await scene.one.start('b')).type).toBe('started');
  });

  it('reports a clear rather than that the start is too early', async () => {
    await scene.one.start('a');
    await scene.one.end('a', 'failed', { pauseMs: LEASE_MS });
    await scene.world.stores[0]!.clear();
    expect((await scene.two.start('b')).type).toBe('cleared');
  });

  it('reports no clear where the data were lost', async () => {
    await scene.world.outside.flush();
    expect((await scene.one.start('a')).type).toBe('started');
  });

  it.each(['', 'garbage', '5', 'null', '[]', '{}', '{"id":"a"}', '{"id":7,"outcome":"running"}'])(
    'is granted with %j in place of a record',
    async (garbage) => {
      for (const act of [
        () => scene.one.start('a'),
        () => scene.one.renew('a'),
        () => scene.one.end('a', 'failed'),
        () => scene.one.commit('a', 'new', 'old'),
        () => scene.one.settle('a'),
      ]) {
        await scene.world.outside.set(scene.world.recordKey, garbage);
        await act();
      }
      await scene.world.outside.set(scene.world.recordKey, garbage);
      expect(await scene.two.start('b')).toMatchObject({ type: 'started', record: { number: 1 } });
    },
  );
});
