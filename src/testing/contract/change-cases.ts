import { strict as assert } from 'node:assert';
import { assertAbout, bytesOf, HOUR_MS, scene, type Scene } from './stage.js';

/** Emitted changes and their fields. */
export const changeCases: readonly Scene[] = [
  scene('a save is emitted by its own store and by others', async (stage) => {
    const { store, changes } = await stage.watch();
    const elsewhere = await stage.watch({ instance: 'second' });
    await store.save({ token: 'one' }, { reason: 'first login', ttlSeconds: 3600 });

    const own = await changes.expect('saved');
    assert.deepEqual(own.credentials, { token: 'one' });
    assert.equal(own.snapshot, store.current);
    assert.equal(own.id, store.id);
    assert.equal(own.previous, undefined);
    assert.equal(own.origin, 'self');
    assert.equal(own.source, 'live');
    assert.equal(own.reason, 'first login');
    assertAbout(own.at, await stage.now());
    assertAbout(own.expiresAt, (await stage.now()) + HOUR_MS);

    const other = await elsewhere.changes.expect('saved');
    assert.deepEqual(other.credentials, { token: 'one' });
    assert.equal(other.reason, 'first login');
    assert.equal(other.expiresAt, own.expiresAt);
    assert.ok(typeof other.origin === 'object', 'the writer is another instance');
  }),

  scene('a write by another client is emitted as saved out of band', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('outside'), HOUR_MS);
    const saved = await changes.expect('saved');
    assert.deepEqual(saved.credentials, { token: 'outside' });
    assert.equal(saved.origin, 'out-of-band');
    assert.equal(saved.reason, undefined);
    assertAbout(saved.expiresAt, (await stage.now()) + HOUR_MS);
    assert.equal(store.current, saved.snapshot);
  }),

  scene('each change names the credential before it', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    const one = await changes.expect('saved');
    await store.save({ token: 'two' });
    const two = await changes.expect('saved');
    assert.equal(two.previous, one.snapshot);
    await store.clear();
    assert.equal((await changes.expect('cleared')).previous, two.snapshot);
    await store.save({ token: 'three' });
    assert.equal((await changes.expect('saved')).previous, undefined);
  }),

  scene('another end of the same bytes is emitted as renewed', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    const saved = await changes.expect('saved');
    await stage.outside.expire(stage.key, HOUR_MS);
    const shorter = await changes.expect('renewed');
    assert.deepEqual(shorter.credentials, { token: 'one' });
    assert.equal(shorter.previous, saved.snapshot);
    assertAbout(shorter.expiresAt, (await stage.now()) + HOUR_MS);
    await stage.outside.expire(stage.key, undefined);
    const longer = await changes.expect('renewed');
    assert.equal(longer.expiresAt, undefined);
    assert.equal(longer.previous, shorter.snapshot);
    await store.save({ token: 'one' }, { ttlSeconds: 7200 });
    assertAbout((await changes.expect('renewed')).expiresAt, (await stage.now()) + 2 * HOUR_MS);
  }),

  scene('the same bytes with the same end are no change', async (stage) => {
    const { store, changes } = await stage.watch();
    const elsewhere = await stage.watch({ instance: 'second' });
    await store.save({ token: 'one' });
    await store.save({ token: 'one' });
    await stage.outside.set(stage.key, bytesOf('one'));
    await store.save({ token: 'two' });
    for (const seen of [changes, elsewhere.changes]) {
      assert.deepEqual((await seen.expect('saved')).credentials, { token: 'one' });
      assert.deepEqual((await seen.expect('saved')).credentials, { token: 'two' });
    }
  }),

  scene('a removal by clear is emitted with its reason', async (stage) => {
    const { store, changes } = await stage.watch();
    const elsewhere = await stage.watch({ instance: 'second' });
    await store.save({ token: 'one' });
    await store.clear({ reason: 'logout' });
    await changes.expect('saved');
    const own = await changes.expect('cleared');
    assert.equal(own.origin, 'self');
    assert.equal(own.reason, 'logout');
    assert.deepEqual(own.previous?.credentials, { token: 'one' });
    await elsewhere.changes.take(({ type }) => type === 'cleared');
    const other = elsewhere.changes.values.at(-1);
    assert.ok(other?.type === 'cleared' && typeof other.origin === 'object');
    assert.equal(other.reason, 'logout');
  }),

  scene('a removal by another client is emitted as cleared out of band', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    await changes.expect('saved');
    await stage.outside.delete(stage.key);
    const cleared = await changes.expect('cleared');
    assert.equal(cleared.origin, 'out-of-band');
    assert.equal(cleared.reason, undefined);
    assert.equal(store.current, undefined);
  }),

  scene('the removal of an absent key is no change', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.clear();
    await stage.outside.delete(stage.key);
    await store.save({ token: 'one' });
    await changes.expect('saved');
  }),

  scene('bytes that do not decode are emitted as unreadable, once', async (stage) => {
    const { store, changes } = await stage.watch({ onCallbackError: () => undefined });
    await store.save({ token: 'one' });
    const saved = await changes.expect('saved');
    await stage.outside.set(stage.key, '{"token":');
    const unreadable = await changes.expect('unreadable');
    assert.equal(unreadable.error.code, 'UNREADABLE');
    assert.equal(unreadable.error.reason, 'decode');
    assert.equal(unreadable.previous, saved.snapshot);
    assert.equal(store.current, undefined);
    assert.equal(store.state.type, 'unreadable');
    await stage.outside.expire(stage.key, HOUR_MS);
    await store.save({ token: 'two' });
    assert.equal((await changes.expect('saved')).previous, undefined);
  }),

  scene('the first reading of a store is no change', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS);
    const { store, changes } = await stage.watch();
    assert.deepEqual(store.current?.credentials, { token: 'one' });
    assert.deepEqual(changes.values, []);
    await stage.outside.set(stage.key, bytesOf('two'));
    assert.deepEqual((await changes.expect('saved')).previous?.credentials, { token: 'one' });
  }),

  scene(
    'every store emits a subsequence of the real changes, ending with the last',
    async (stage) => {
      const instances = ['first', 'second', 'second'] as const;
      const watched = await Promise.all(instances.map((instance) => stage.watch({ instance })));
      const [writer] = watched;
      const written: string[] = [];
      for (let n = 0; n < 30; n += 1) {
        const token = String(n);
        written.push(token);
        if (n % 3 === 0) await stage.outside.set(stage.key, bytesOf(token));
        else await writer?.store.save({ token });
      }
      for (const { changes } of watched) {
        await changes.take((one) => one.type === 'saved' && one.credentials.token === '29');
        const emitted = changes.values.map((one) =>
          one.type === 'saved' ? one.credentials.token : '',
        );
        assert.ok(
          isSubsequence(emitted, written),
          `${emitted.join()} is not in the order of the writes`,
        );
        assert.equal(new Set(emitted).size, emitted.length, 'a change was emitted twice');
      }
    },
  ),
];

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = -1;
  return part.every((one) => {
    at = whole.indexOf(one, at + 1);
    return at >= 0;
  });
}
