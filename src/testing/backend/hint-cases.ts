import { strict as assert } from 'node:assert';
import { originOf, scene, type BackendScene } from './stage.js';

/** The hints of a watched key and of a watched prefix, and their labels. */
export const hintCases: readonly BackendScene[] = [
  scene('a write is hinted to its own instance as self, with the reason', async (stage) => {
    const watch = await stage.listen(stage.first);
    await stage.write(stage.first, 'one', { reason: 'login' });
    await stage.expectHint(watch, { type: 'written', origin: 'self', reason: 'login' });
    await stage.write(stage.first, 'two');
    await stage.expectHint(watch, { type: 'written', origin: 'self', reason: undefined });
  }),

  scene('a write is hinted to another instance with the instance and its name', async (stage) => {
    const watch = await stage.listen(stage.second);
    await stage.write(stage.first, 'one', { reason: 'login' });
    const origin = originOf(stage.first);
    await stage.expectHint(watch, { type: 'written', origin, reason: 'login' });
    await stage.receivedAll(stage.second);
    for (const { hint } of watch.hints.rest) assert.equal(hint.type, 'written');
  }),

  scene('a removal is hinted as a clear, with its origin and its reason', async (stage) => {
    const own = await stage.listen(stage.first);
    const other = await stage.listen(stage.second);
    await stage.write(stage.first, 'one');
    await stage.remove(stage.first, { reason: 'logout' });
    const cleared = { type: 'removed', as: 'cleared', reason: 'logout' } as const;
    await stage.expectHint(own, { ...cleared, origin: 'self' });
    await stage.expectHint(other, { ...cleared, origin: originOf(stage.first) });
  }),

  scene('a write, an end and a removal of another client are out-of-band', async (stage) => {
    const watch = await stage.listen(stage.first);
    const written = { type: 'written', origin: 'out-of-band', reason: undefined } as const;
    await stage.outside.set(stage.key, 'one');
    await stage.expectHint(watch, written);
    await stage.receivedAll(stage.first);
    assert.deepEqual(watch.hints.rest, []);
    await stage.outside.expire(stage.key, 60_000);
    await stage.expectHint(watch, written);
    await stage.outside.expire(stage.key, undefined);
    await stage.expectHint(watch, written);
    await stage.outside.delete(stage.key);
    await stage.expectHint(watch, {
      type: 'removed',
      as: 'cleared',
      origin: 'out-of-band',
      reason: undefined,
    });
    await stage.receivedAll(stage.first);
    assert.deepEqual(watch.hints.rest, []);
  }),

  scene('the end of a key is hinted as expired, without an author', async (stage) => {
    const watch = await stage.listen(stage.first);
    await stage.write(stage.first, 'one', { ttl: 20 });
    await stage.advance(25);
    // A place may drop a key only when somebody looks.
    assert.equal(await stage.stored(), undefined);
    await stage.expectHint(watch, {
      type: 'removed',
      as: 'expired',
      origin: 'unknown',
      reason: undefined,
    });
  }),

  scene('a watched key gets no hints of other keys', async (stage) => {
    const watch = await stage.listen(stage.first);
    const sibling = `${stage.key}s`;
    await stage.outside.set(sibling, 'one');
    await stage.write(stage.first, 'one', { key: sibling });
    await stage.receivedAll(stage.first);
    assert.deepEqual(watch.hints.values, []);
  }),

  scene('a watched prefix gets hints of keys that it never had a hint of', async (stage) => {
    const watch = await stage.listen(stage.first, { prefix: stage.prefix });
    const key = `${stage.prefix}new:1`;
    await stage.write(stage.first, 'one', { key, reason: 'login' });
    await stage.expectHint(watch, { type: 'written', origin: 'self', reason: 'login' }, key);
    await stage.write(stage.second, 'two', { key });
    await stage.expectHint(
      watch,
      { type: 'written', origin: originOf(stage.second), reason: undefined },
      key,
    );
    const foreign = `${stage.prefix}new:2`;
    await stage.outside.set(foreign, 'one');
    await stage.expectHint(
      watch,
      { type: 'written', origin: 'out-of-band', reason: undefined },
      foreign,
    );
  }),

  scene('every character of a watched prefix stands for itself', async (stage) => {
    const prefix = `${stage.prefix}[ab]?*\\`;
    const watch = await stage.listen(stage.first, { prefix });
    for (const decoy of ['a', 'axx', 'b?*\\', 'a1anything\\', '[ab]?*'])
      await stage.outside.set(stage.prefix + decoy, 'one');
    await stage.receivedAll(stage.first);
    assert.deepEqual(watch.hints.values, []);
    await stage.outside.set(`${prefix}id`, 'one');
    assert.equal((await watch.hints.take()).key, `${prefix}id`);
  }),

  scene('every subscriber of one key gets each hint, until it leaves', async (stage) => {
    const leaving = await stage.listen(stage.first);
    const staying = await stage.listen(stage.first);
    const all = await stage.listen(stage.first, { prefix: stage.prefix });
    await stage.outside.set(stage.key, 'one');
    for (const { hints } of [leaving, staying, all]) await hints.take();
    leaving.stop();
    const before = leaving.hints.values.length;
    await stage.outside.set(stage.key, 'two');
    for (const { hints } of [staying, all]) await hints.take();
    await stage.receivedAll(stage.first);
    assert.equal(leaving.hints.values.length, before);
  }),
];
