import { strict as assert } from 'node:assert';
import { assertNothing, bytesOf, HOUR_MS, scene, type Scene } from './stage.js';

/** Memory and streams of a watched store, and the start and the end of a watch. */
export const watchingCases: readonly Scene[] = [
  scene('memory has a write as soon as the write resolves', async (stage) => {
    const { store } = await stage.watch();
    for (let n = 0; n < 10; n += 1) {
      await store.save({ token: String(n) });
      assert.deepEqual(store.current?.credentials, { token: String(n) });
      assert.equal(store.state.type, 'present');
    }
    await store.clear();
    assertNothing(store.current);
    assert.equal(store.state.type, 'absent');
    await store.update(() => ({ token: 'updated' }));
    assert.deepEqual(store.current?.credentials, { token: 'updated' });
  }),

  scene('a credential in memory is frozen, because all readers share it', async (stage) => {
    const { store } = await stage.watch<{ scopes: string[] }>();
    await store.save({ scopes: ['read'] });
    const held = store.current?.credentials;
    assert.throws(() => held?.scopes.push('write'), TypeError);
    assert.deepEqual(store.current?.credentials, { scopes: ['read'] });
  }),

  scene('credentials$ is silent until the first reading, then emits the value', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'));
    const store = stage.store();
    const emitted = stage.record(store.credentials$);
    assert.deepEqual(emitted.values, []);
    assert.deepEqual(await emitted.take(), { token: 'one' });
    assert.deepEqual(emitted.values.length, 1);
    assert.deepEqual(stage.record(store.credentials$).values, [{ token: 'one' }]);
  }),

  scene('credentials$ emits undefined for an absent credential', async (stage) => {
    const store = stage.store({ onCallbackError: () => undefined });
    const emitted = stage.record(store.credentials$);
    assert.equal(await emitted.take(), undefined);
    await store.save({ token: 'one' });
    assert.deepEqual(await emitted.take(), { token: 'one' });
    await store.clear();
    assert.equal(await emitted.take(), undefined);
    await store.save({ token: 'two' });
    assert.deepEqual(await emitted.take(), { token: 'two' });
    await stage.outside.set(stage.key, '{');
    assert.equal(await emitted.take(), undefined);
    assert.equal(emitted.values.length, 5);
  }),

  scene('credentials$ does not repeat a renewed credential', async (stage) => {
    const { store, changes } = await stage.watch();
    const emitted = stage.record(store.credentials$);
    await store.save({ token: 'one' });
    await stage.outside.expire(stage.key, HOUR_MS);
    await changes.take(({ type }) => type === 'renewed');
    await store.save({ token: 'two' });
    await emitted.take((value) => value?.token === 'two');
    assert.deepEqual(emitted.values, [undefined, { token: 'one' }, { token: 'two' }]);
  }),

  scene('state$ starts with unknown and emits each state with its data', async (stage) => {
    const store = stage.store({ onCallbackError: () => undefined });
    const emitted = stage.record(store.state$);
    assert.deepEqual(emitted.values, [{ type: 'unknown' }]);
    await emitted.take(({ type }) => type === 'absent');
    await store.save({ token: 'one' });
    const present = await emitted.take();
    assert.ok(present.type === 'present');
    assert.deepEqual(present.snapshot.credentials, { token: 'one' });
    assert.equal(present.snapshot, store.current);
    await stage.outside.set(stage.key, '{');
    const unreadable = await emitted.take();
    assert.ok(unreadable.type === 'unreadable');
    assert.equal(unreadable.error.reason, 'decode');
    assert.equal(store.state, unreadable);
  }),

  scene('status$ and current start nothing, a subscriber to changes$ does', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'));
    const store = stage.store();
    const emitted = stage.record(store.status$);
    assertNothing(store.current);
    assert.deepEqual(
      emitted.values.map(({ link }) => link),
      ['idle'],
    );
    stage.record(store.changes$);
    const live = await emitted.take(({ link }) => link === 'live');
    assert.equal(live.freshness, 'fresh');
    assert.equal(live.staleSince, undefined);
    // A live store may report a better source of hints a moment later.
    // The skew is estimated anew at every look.
    const { clockSkewMs } = store.status;
    assert.deepEqual({ ...emitted.values.at(-1), clockSkewMs }, { ...store.status, clockSkewMs });
    assert.equal(store.status.link, 'live');
    assert.deepEqual(store.current?.credentials, { token: 'one' });
  }),

  scene('the store forgets after the last watcher, and the next one starts anew', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'));
    const store = stage.store();
    const first = stage.record(store.credentials$);
    const second = stage.record(store.state$);
    await first.take();
    first.stop();
    assert.deepEqual(store.current?.credentials, { token: 'one' });
    second.stop();
    assertNothing(store.current);
    assert.equal(store.status.link, 'idle');
    assert.equal(store.state.type, 'unknown');

    await stage.outside.set(stage.key, bytesOf('two'));
    const changes = stage.record(store.changes$);
    const later = stage.record(store.credentials$);
    assert.deepEqual(await later.take(), { token: 'two' });
    assert.deepEqual(changes.values, []);
  }),

  scene('ready keeps watching without any other watcher', async (stage) => {
    const store = stage.store();
    await stage.inTime('ready', Promise.all([store.ready(), store.ready()]));
    const emitted = stage.record(store.status$);
    stage.record(store.changes$).stop();
    await stage.outside.set(stage.key, bytesOf('one'));
    const states = stage.record(store.state$);
    await states.take(({ type }) => type === 'present');
    states.stop();
    assert.deepEqual(store.current?.credentials, { token: 'one' });
    assert.deepEqual(
      emitted.values.filter(({ link }) => link !== 'live'),
      [],
    );
  }),

  scene('ready stops waiting when its signal aborts, and the store goes on', async (stage) => {
    const store = stage.store();
    const reason = new RangeError('enough');
    await assert.rejects(
      store.ready({ signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );
    const controller = new AbortController();
    const waiting = store.ready({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
    const emitted = stage.record(store.status$);
    await emitted.take(({ link }) => link === 'live');
  }),

  scene('a late subscriber to changes$ receives no past ones', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    await changes.expect('saved');
    const late = stage.record(store.changes$);
    await store.save({ token: 'two' });
    await late.take();
    assert.deepEqual(
      late.values.map((one) => (one.type === 'saved' ? one.credentials : one.type)),
      [{ token: 'two' }],
    );
  }),
];
