import { strict as assert } from 'node:assert';
import { assertAbout, bytesOf, failure, HOUR_MS, scene, type Scene, type Token } from './stage.js';

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, index) => index);

/** `load`, `read`, `save` and `clear`, without a watch. */
export const storingCases: readonly Scene[] = [
  scene('load and read return undefined while nothing is stored', async (stage) => {
    const store = stage.store();
    assert.equal(await store.load(), undefined);
    assert.equal(await store.read(), undefined);
  }),

  scene('load returns the last saved value, as a private copy', async (stage) => {
    const store = stage.store<{ token: string }>();
    const saved = { token: 'one' };
    await store.save(saved);
    await store.save({ token: 'two' });
    const loaded = await store.load();
    assert.deepEqual(loaded, { token: 'two' });
    loaded.token = 'changed';
    saved.token = 'changed';
    assert.deepEqual(await store.load(), { token: 'two' });
  }),

  scene('another store loads the saved value', async (stage) => {
    await stage.store().save({ token: 'one' });
    assert.deepEqual(await stage.store({ instance: 'second' }).load(), { token: 'one' });
  }),

  scene('the bytes at the key are exactly the result of serialize', async (stage) => {
    const bytes = Buffer.from(EVERY_BYTE);
    const store = stage.store<Buffer>({
      serialize: (value) => value,
      deserialize: (value) => Buffer.from(value),
    });
    await store.save(bytes);
    assert.deepEqual(Buffer.from((await stage.outside.get(stage.key)) ?? ''), bytes);
    assert.deepEqual(await store.load(), bytes);
  }),

  scene('a string from serialize is stored as UTF-8', async (stage) => {
    const text = 'grüße \u{1F511} \u2028';
    const store = stage.store<string>({
      serialize: (value) => value,
      deserialize: (value) => value.toString('utf8'),
    });
    await store.save(text);
    assert.equal(Buffer.from((await stage.outside.get(stage.key)) ?? '').toString('utf8'), text);
    assert.equal(await store.load(), text);
  }),

  scene(
    'a write that waits for replicas returns the number of replicas that have it',
    async (stage) => {
      const store = stage.store();
      const waiting = { replicas: 1, replicaTimeoutMs: 1 };
      const saved = await store.save({ token: 'one' }, waiting);
      assert.equal(typeof saved.replicas, 'number');
      const updated = await store.update(() => ({ token: 'two' }), waiting);
      assert.equal(typeof updated.replicas, 'number');
      assert.equal((await store.save({ token: 'three' })).replicas, undefined);
      assert.deepEqual(await store.load(), { token: 'three' });
    },
  ),

  scene('a save that was called after a clear stays', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'old' });
    const outcomes = await Promise.all([
      store.clear(),
      store.save({ token: 'one' }),
      store.clear(),
      store.save({ token: 'two' }),
    ]);
    assert.equal(outcomes[0], true);
    assert.equal(outcomes[2], true);
    assert.deepEqual(await store.load(), { token: 'two' });
  }),

  scene('empty bytes are a value, too', async (stage) => {
    const store = stage.store<string>({
      serialize: (value) => value,
      deserialize: (value) => value.toString('utf8'),
    });
    await store.save('');
    assert.equal((await stage.outside.get(stage.key))?.length, 0);
    assert.equal(await store.load(), '');
    assert.equal(await store.clear(), true);
  }),

  scene('writes go out in call order, however long serialize takes', async (stage) => {
    const slow: (() => void)[] = [];
    const store = stage.store<string>({
      serialize: (value) =>
        new Promise((resolve) => {
          if (value === 'last') resolve(value);
          else
            slow.unshift(() => {
              resolve(value);
            });
        }),
      deserialize: (value) => value.toString('utf8'),
    });
    const order: string[] = [];
    const done = ['first', 'second', 'last'].map(async (value) => {
      await store.save(value);
      order.push(value);
    });
    for (const release of slow) release();
    await stage.inTime('save', Promise.all(done));
    assert.deepEqual(order, ['first', 'second', 'last']);
    assert.equal(await store.load(), 'last');
  }),

  scene('load reads the bytes that another client wrote', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('outside'));
    assert.deepEqual(await stage.store().load(), { token: 'outside' });
  }),

  scene(
    'load returns undefined for bytes that do not decode, read rejects, and both leave them',
    async (stage) => {
      await stage.outside.set(stage.key, '{"token":');
      const store = stage.store({ onCallbackError: () => undefined });
      assert.equal(await store.load(), undefined);
      await assert.rejects(store.read(), { code: 'UNREADABLE' });
      assert.equal(
        Buffer.from((await stage.outside.get(stage.key)) ?? '').toString('utf8'),
        '{"token":',
      );
    },
  ),

  scene('clear removes, reports whether it did, and may be repeated', async (stage) => {
    const store = stage.store();
    assert.equal(await store.clear(), false);
    await store.save({ token: 'one' });
    assert.equal(await store.clear(), true);
    assert.equal(await stage.outside.get(stage.key), undefined);
    assert.equal(await store.clear(), false);
    assert.equal(await store.load(), undefined);
  }),

  scene('without ttlSeconds the bytes stay for ever', async (stage) => {
    const store = stage.store();
    await stage.outside.set(stage.key, bytesOf('old'), HOUR_MS);
    await store.save({ token: 'one' });
    assert.equal(await stage.outside.ttlMs(stage.key), undefined);
    assert.equal((await store.read())?.expiresAt, undefined);
  }),

  scene('the option ttlSeconds limits the life of the bytes', async (stage) => {
    const store = stage.store({ ttlSeconds: 3600 });
    await store.save({ token: 'one' });
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
    assertAbout((await store.read())?.expiresAt, (await stage.now()) + HOUR_MS);
  }),

  scene('ttlSeconds of one save overrides that of the store', async (stage) => {
    const store = stage.store({ ttlSeconds: 3600 });
    await store.save({ token: 'one' }, { ttlSeconds: 7200 });
    assertAbout(await stage.outside.ttlMs(stage.key), 2 * HOUR_MS);
    await store.save({ token: 'two' }, { ttlSeconds: 'keep' });
    assertAbout(await stage.outside.ttlMs(stage.key), 2 * HOUR_MS);
    await store.save({ token: 'three' }, { ttlSeconds: 'none' });
    assert.equal(await stage.outside.ttlMs(stage.key), undefined);
    await store.save({ token: 'four' }, { ttlSeconds: 'keep' });
    assert.equal(await stage.outside.ttlMs(stage.key), undefined);
  }),

  scene('ttlSeconds may depend on the credentials', async (stage) => {
    const store = stage.store<{ token: string; hours?: number }>({
      ttlSeconds: ({ hours }) => (hours === undefined ? undefined : hours * 3600),
    });
    await store.save({ token: 'one', hours: 2 });
    assertAbout(await stage.outside.ttlMs(stage.key), 2 * HOUR_MS);
    await store.save({ token: 'two' });
    assert.equal(await stage.outside.ttlMs(stage.key), undefined);
  }),

  scene('the end is the earlier of the logical one and that of the TTL', async (stage) => {
    const store = stage.store({ expiresAt: ({ expiresAt }: Token) => expiresAt });
    const expiresAt = Math.floor(await stage.now()) + HOUR_MS;
    await store.save({ token: 'one', expiresAt }, { ttlSeconds: 7200 });
    assert.equal((await store.read())?.expiresAt, expiresAt);
    await stage.outside.expire(stage.key, HOUR_MS / 2);
    assertAbout((await store.read())?.expiresAt, (await stage.now()) + HOUR_MS / 2);
  }),

  scene('a TTL that ends before the logical end plus a minute is refused', async (stage) => {
    const options = { ttlSeconds: 3630, expiresAt: (token: Token) => token.expiresAt };
    const expiresAt = Math.floor(await stage.now()) + HOUR_MS;
    const store = stage.store(options);
    const error = await failure('INVALID_OPTION', () => store.save({ token: 'one', expiresAt }));
    assert.equal(error.option, 'ttlSeconds');
    assert.equal(await stage.outside.get(stage.key), undefined);
    await stage.store({ ...options, allowEarlyRemoval: true }).save({ token: 'one', expiresAt });
    assertAbout(await stage.outside.ttlMs(stage.key), 3_630_000);
  }),

  scene('load and read do not check whether credentials are still valid', async (stage) => {
    const store = stage.store({ expiresAt: ({ expiresAt }: Token) => expiresAt });
    const past = { token: 'old', expiresAt: Math.floor(await stage.now()) - HOUR_MS };
    await store.save(past);
    assert.deepEqual(await store.load(), past);
    const snapshot = await store.read();
    assert.deepEqual(snapshot?.credentials, past);
    assert.equal(snapshot.expiresAt, past.expiresAt);
  }),

  scene('load, read and write start no watch', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    await store.load();
    await store.read();
    await store.update(() => ({ token: 'two' }));
    assert.equal(store.status.link, 'idle');
    assert.equal(store.state.type, 'unknown');
    assert.equal(store.current, undefined);
  }),
];
