import { strict as assert } from 'node:assert';
import { failure } from '../contract/stage.js';
import { digestOf, MINUTE_MS, scene, textOf, type BackendScene } from './stage.js';

/** Writes and removals, plain and conditional. */
export const writeCases: readonly BackendScene[] = [
  scene('a write stores exactly its bytes, for everybody, without an end', async (stage) => {
    await stage.outside.set(stage.key, 'zero', MINUTE_MS);
    const bytes = Buffer.from([0, 255, 13, 10, 128]);
    const written = await stage.write(stage.first, '', { bytes });
    assert.equal(written.announced, true);
    assert.equal(written.replicated, undefined);
    assert.deepEqual(Buffer.from((await stage.outside.get(stage.key)) ?? []), bytes);
    const { content, expiresAt } = await stage.read(stage.second);
    assert.deepEqual(content, { type: 'bytes', bytes });
    assert.equal(expiresAt, undefined);
    bytes.fill(1);
    assert.notDeepEqual(Buffer.from((await stage.outside.get(stage.key)) ?? []), bytes);
  }),

  scene('a write gives the key the TTL that it names', async (stage) => {
    const before = await stage.now();
    await stage.write(stage.first, 'one', { ttl: MINUTE_MS });
    await stage.assertEnd(MINUTE_MS, before);
    const next = await stage.now();
    await stage.write(stage.first, 'two', { ttl: 2 * MINUTE_MS });
    await stage.assertEnd(2 * MINUTE_MS, next);
    await stage.write(stage.first, 'three', { ttl: 'none' });
    assert.equal((await stage.read()).expiresAt, undefined);
  }),

  scene("'keep' keeps the end that the key has, and gives a new key none", async (stage) => {
    await stage.write(stage.first, 'one', { ttl: 'keep' });
    assert.equal((await stage.read()).expiresAt, undefined);
    const before = await stage.now();
    await stage.outside.expire(stage.key, MINUTE_MS);
    await stage.write(stage.first, 'two', { ttl: 'keep' });
    await stage.write(stage.first, 'three', { ttl: 'keep', expected: digestOf('two') });
    await stage.assertEnd(MINUTE_MS, before);
    assert.equal(textOf(await stage.read()), 'three');
  }),

  scene('a write replaces the bytes with the expected digest', async (stage) => {
    await stage.outside.set(stage.key, 'one');
    const before = await stage.now();
    const expected = digestOf('one');
    const written = await stage.write(stage.first, 'two', { expected, ttl: MINUTE_MS });
    assert.equal(written.announced, true);
    assert.equal(await stage.stored(), 'two');
    await stage.assertEnd(MINUTE_MS, before);
  }),

  scene('a write with another expectation is a conflict and changes nothing', async (stage) => {
    const { first } = stage;
    await failure('CONFLICT', () => stage.write(first, 'two', { expected: digestOf('one') }));
    assert.equal(await stage.stored(), undefined);
    const before = await stage.now();
    await stage.outside.set(stage.key, 'one', MINUTE_MS);
    for (const expected of [digestOf('other'), 'absent'] as const)
      await failure('CONFLICT', () => stage.write(first, 'two', { expected, ttl: 'none' }));
    assert.equal(await stage.stored(), 'one');
    await stage.assertEnd(MINUTE_MS, before);
  }),

  scene('a write where nothing is expected happens where nothing is stored', async (stage) => {
    const before = await stage.now();
    await stage.write(stage.first, 'one', { expected: 'absent', ttl: 20 });
    await stage.assertEnd(20, before).catch(async (error: unknown) => {
      // A slow machine may look only after the end.
      if ((await stage.read()).content.type !== 'absent') throw error;
    });
    await stage.advance(25);
    await stage.write(stage.first, 'two', { expected: 'absent', ttl: MINUTE_MS });
    assert.equal(await stage.stored(), 'two');
  }),

  scene('of many conditional writes at once one succeeds', async (stage) => {
    for (const expected of ['absent', undefined] as const) {
      const condition = expected ?? digestOf((await stage.stored()) ?? '');
      const writes = Array.from({ length: 20 }, (_, n) =>
        stage.write(n % 2 === 0 ? stage.first : stage.second, `${String(expected)} ${String(n)}`, {
          expected: condition,
        }),
      );
      const results = await Promise.allSettled(writes);
      const winners = results.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
      assert.equal(winners.length, 1);
      assert.equal(await stage.stored(), `${String(expected)} ${String(winners[0])}`);
      for (const result of results)
        if (result.status === 'rejected')
          await failure('CONFLICT', () => Promise.reject(result.reason as Error));
    }
  }),

  scene('writes happen in the order of their calls', async (stage) => {
    const texts = Array.from({ length: 20 }, (_, n) => String(n));
    await stage.write(stage.first, 'connected');
    await Promise.all(texts.map((text) => stage.write(stage.first, text)));
    assert.equal(await stage.stored(), texts.at(-1));
  }),

  scene('the replicas of a write are counted apart, and never reject', async (stage) => {
    const wanted = { replicas: 1, timeoutMs: 20, signals: [] };
    const { replicated } = await stage.write(stage.first, 'one', { wanted });
    assert.ok(replicated !== undefined);
    const state = { waiting: true };
    const acked = replicated.finally(() => {
      state.waiting = false;
    });
    const deadline = performance.now() + stage.timeoutMs;
    while (state.waiting && performance.now() < deadline) await stage.advance(10);
    const { replicas } = await stage.inTime('replicated', acked);
    assert.ok(Number.isSafeInteger(replicas) && replicas >= 0);
  }),
];

/** Removals and the tombstones that they leave. */
export const removeCases: readonly BackendScene[] = [
  scene('a removal tells whether something was there', async (stage) => {
    const { first } = stage;
    assert.equal((await stage.remove(first)).removed, false);
    await stage.outside.set(stage.key, 'one');
    assert.deepEqual(await stage.remove(first), { removed: true, announced: true });
    assert.equal(await stage.stored(), undefined);
    assert.equal((await stage.remove(first)).removed, false);
  }),

  scene('a removal of other bytes than expected is a conflict', async (stage) => {
    const expected = digestOf('one');
    await failure('CONFLICT', () => stage.remove(stage.first, { expected }));
    await stage.outside.set(stage.key, 'two');
    await failure('CONFLICT', () => stage.remove(stage.first, { expected }));
    assert.equal(await stage.stored(), 'two');
    assert.equal((await stage.view()).clearedAt, undefined);
    await stage.outside.set(stage.key, 'one');
    assert.equal((await stage.remove(stage.first, { expected })).removed, true);
    assert.equal(await stage.stored(), undefined);
    assert.notEqual((await stage.view()).clearedAt, undefined);
  }),

  scene('a removal leaves a tombstone with its instant, and a later one a later', async (stage) => {
    await stage.outside.set(stage.key, 'one');
    let version = (await stage.view()).version;
    for (const round of ['of a key', 'of nothing']) {
      const before = await stage.now();
      await stage.remove(stage.first);
      const after = await stage.now();
      const view = await stage.view(stage.second);
      assert.equal(view.stored, false);
      assert.ok(view.clearedAt !== undefined && view.clearedAt >= before - 2, round);
      assert.ok(view.clearedAt <= after + 2, round);
      assert.notEqual(view.version, version);
      ({ version } = view);
      await stage.advance(5);
    }
  }),

  scene('the removal by another client leaves no tombstone', async (stage) => {
    await stage.write(stage.first, 'one');
    await stage.outside.delete(stage.key);
    const { stored, clearedAt } = await stage.view();
    assert.equal(stored, false);
    assert.equal(clearedAt, undefined);
  }),
];
