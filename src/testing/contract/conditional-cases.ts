import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { bytesOf, CANARY, failure, HOUR_MS, assertAbout, scene, type Scene } from './stage.js';

interface Counter {
  readonly count: number;
}

/** `onlyIf` and `update`. */
export const conditionalCases: readonly Scene[] = [
  scene('onlyIf a snapshot saves over exactly those bytes', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const snapshot = await store.read();
    await store.save({ token: 'two' }, { onlyIf: snapshot, ttlSeconds: 3600 });
    assert.deepEqual(await store.load(), { token: 'two' });
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
  }),

  scene('onlyIf a snapshot is a conflict once another client wrote other bytes', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const snapshot = await store.read();
    await stage.outside.set(stage.key, bytesOf('outside'));
    await failure('CONFLICT', () => store.save({ token: CANARY }, { onlyIf: snapshot }));
    assert.deepEqual(await store.load(), { token: 'outside' });
  }),

  scene('onlyIf a snapshot is a conflict once the key is gone', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const snapshot = await store.read();
    await stage.outside.delete(stage.key);
    await failure('CONFLICT', () => store.save({ token: CANARY }, { onlyIf: snapshot }));
    assert.equal(await stage.outside.get(stage.key), undefined);
  }),

  scene('onlyIf a snapshot compares the bytes, not their writer', async (stage) => {
    const store = stage.store();
    await stage.store({ instance: 'second' }).save({ token: 'one' });
    const snapshot = await store.read();
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS);
    await store.save({ token: 'two' }, { onlyIf: snapshot });
    assert.deepEqual(await store.load(), { token: 'two' });
  }),

  scene('a snapshot from memory serves onlyIf as well as one that was read', async (stage) => {
    const { store } = await stage.watch();
    await store.save({ token: 'one' });
    const old = store.current;
    await store.save({ token: 'two' }, { onlyIf: old });
    await failure('CONFLICT', () => store.save({ token: 'three' }, { onlyIf: old }));
    await failure('CONFLICT', () => store.clear({ onlyIf: old }));
    assert.deepEqual(await store.load(), { token: 'two' });
  }),

  scene('onlyIf that is undefined is refused, and nothing is written', async (stage) => {
    const store = stage.store();
    const nothing = await store.read();
    await stage.outside.set(stage.key, bytesOf('outside'));
    await failure('INVALID_OPTION', () => store.save({ token: CANARY }, { onlyIf: nothing }));
    await failure('INVALID_OPTION', () => store.clear({ onlyIf: nothing }));
    assert.deepEqual(await store.load(), { token: 'outside' });
  }),

  scene("onlyIf 'absent' saves once, and then is a conflict", async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' }, { onlyIf: 'absent', ttlSeconds: 3600 });
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
    await failure('CONFLICT', () => store.save({ token: CANARY }, { onlyIf: 'absent' }));
    assert.deepEqual(await store.load(), { token: 'one' });
  }),

  scene('one of many concurrent saves with onlyIf absent succeeds', async (stage) => {
    const stores = [stage.store(), stage.store({ instance: 'second' }), stage.store()];
    const outcomes = await Promise.allSettled(
      stores.map((store, index) => store.save({ token: String(index) }, { onlyIf: 'absent' })),
    );
    const winners = outcomes.flatMap((one, at) => (one.status === 'fulfilled' ? [at] : []));
    assert.equal(winners.length, 1);
    assert.deepEqual(await stores[0]?.load(), { token: String(winners[0]) });
  }),

  scene('clear onlyIf removes exactly those bytes or is a conflict', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const one = await store.read();
    await store.save({ token: 'two' });
    await failure('CONFLICT', () => store.clear({ onlyIf: one }));
    assert.deepEqual(await store.load(), { token: 'two' });
    assert.equal(await store.clear({ onlyIf: await store.read() }), true);
    assert.equal(await stage.outside.get(stage.key), undefined);
  }),

  scene('onlyIf refuses a value that is no snapshot of this very credential', async (stage) => {
    const store = stage.store();
    const other = stage.store({ key: `${stage.key}:other` });
    await other.save({ token: 'one' });
    await store.save({ token: 'one' });
    const foreign = await other.read();
    const forged = { id: store.id, credentials: { token: 'one' }, expiresAt: undefined };
    for (const onlyIf of [foreign, forged, 'present', 1, null] as never[]) {
      const saving = await failure('INVALID_OPTION', () => store.save({ token: 'x' }, { onlyIf }));
      assert.equal(saving.option, 'onlyIf');
      const clearing = await failure('INVALID_OPTION', () => store.clear({ onlyIf }));
      assert.equal(clearing.option, 'onlyIf');
    }
    assert.deepEqual(await store.load(), { token: 'one' });
  }),

  scene('update writes the result of the function for the stored value', async (stage) => {
    const store = stage.store<Counter>();
    const first = await store.update((found) => ({ count: (found?.count ?? 0) + 1 }));
    assert.deepEqual([first.written, first.credentials, first.attempts], [true, { count: 1 }, 1]);
    const asynchronous = (found: Counter | undefined): Promise<Counter> =>
      Promise.resolve({ count: (found?.count ?? 0) + 1 });
    const second = await store.update(asynchronous, { ttlSeconds: 3600 });
    assert.deepEqual(second.credentials, { count: 2 });
    assert.deepEqual(await store.load(), { count: 2 });
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
  }),

  scene('update writes nothing when the function returns undefined', async (stage) => {
    const store = stage.store();
    await stage.outside.set(stage.key, bytesOf('one'), HOUR_MS);
    const receipt = await store.update(() => undefined);
    assert.deepEqual(
      [receipt.written, receipt.credentials, receipt.attempts],
      [false, { token: 'one' }, 1],
    );
    assertAbout(await stage.outside.ttlMs(stage.key), HOUR_MS);
  }),

  scene('update starts over after a write in between', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const seen: (string | undefined)[] = [];
    const update = store.update(async (found) => {
      seen.push(found?.token);
      if (seen.length === 1) await stage.outside.set(stage.key, bytesOf('outside'));
      return { token: `${found?.token ?? ''}+` };
    });
    const receipt = await stage.passing(update);
    assert.deepEqual(
      [receipt.written, receipt.credentials, receipt.attempts],
      [true, { token: 'outside+' }, 2],
    );
    assert.ok(
      !inspect(receipt).includes('outside') && !JSON.stringify(receipt).includes('outside'),
    );
    assert.deepEqual(seen, ['one', 'outside']);
    assert.deepEqual(await store.load(), { token: 'outside+' });
  }),

  scene('update ends with a conflict after maxAttempts', async (stage) => {
    const store = stage.store();
    let calls = 0;
    const update = store.update(
      async () => {
        calls += 1;
        await stage.outside.set(stage.key, bytesOf(`outside ${String(calls)}`));
        return { token: CANARY };
      },
      { maxAttempts: 3 },
    );
    await failure('CONFLICT', () => stage.passing(update));
    assert.equal(calls, 3);
    assert.deepEqual(await store.load(), { token: 'outside 3' });
  }),

  scene('updates of several stores at the same time are all kept', async (stage) => {
    const instances = ['first', 'second', 'first'] as const;
    const stores = instances.map((instance) => stage.store<Counter>({ instance }));
    const updates = stores.flatMap((store) =>
      Array.from({ length: 5 }, () =>
        store.update((found) => ({ count: (found?.count ?? 0) + 1 }), { maxAttempts: 100 }),
      ),
    );
    const receipts = await stage.passing(Promise.all(updates));
    assert.deepEqual(await stores[0]?.load(), { count: 15 });
    const counts = receipts.map(({ credentials }) => credentials?.count);
    assert.equal(new Set(counts).size, 15, 'two updates made the same of the same');
  }),

  scene('update rejects with the error of the function, and writes nothing', async (stage) => {
    const store = stage.store();
    await store.save({ token: 'one' });
    const thrown = new RangeError('no');
    await assert.rejects(
      store.update(() => Promise.reject(thrown)),
      (error) => error === thrown,
    );
    assert.deepEqual(await store.load(), { token: 'one' });
  }),

  scene('update does not write over bytes that it cannot read', async (stage) => {
    const store = stage.store({ onCallbackError: () => undefined });
    await stage.outside.set(stage.key, `{"token":"${CANARY}"`);
    const error = await failure('UNREADABLE', () => store.update(() => ({ token: 'one' })));
    assert.equal(error.reason, 'decode');
    assert.equal(
      Buffer.from((await stage.outside.get(stage.key)) ?? '').toString('utf8'),
      `{"token":"${CANARY}"`,
    );
  }),
];
