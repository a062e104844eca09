import { strict as assert } from 'node:assert';
import { asFailure, bytesOf, failure, scene, type Scene } from './stage.js';

/** The effects of `close`, and the calls after it. */
export const closingCases: readonly Scene[] = [
  scene('after close every call is refused and nothing is written', async (stage) => {
    await stage.outside.set(stage.key, bytesOf('one'));
    const { store } = await stage.watch();
    const snapshot = store.current;
    await store.close();
    const calls: (() => Promise<unknown>)[] = [
      () => store.load(),
      () => store.read(),
      () => store.save({ token: 'two' }),
      () => store.save({ token: 'two' }, { onlyIf: snapshot }),
      () => store.clear(),
      () => store.update(() => ({ token: 'two' })),
      () => store.ready(),
    ];
    for (const call of calls) await failure('CLOSED', call);
    const bytes = Buffer.from((await stage.outside.get(stage.key)) ?? '');
    assert.equal(bytes.toString('utf8'), bytesOf('one'));
  }),

  scene('after close memory is empty and the status says so', async (stage) => {
    const { store } = await stage.watch();
    await store.save({ token: 'one' });
    await store.close();
    assert.equal(store.current, undefined);
    assert.equal(store.state.type, 'unknown');
    assert.equal(store.status.link, 'closed');
  }),

  scene('close completes every stream, and a late subscription at once', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    const streams = () => [
      stage.record<unknown>(store.changes$),
      stage.record<unknown>(store.credentials$),
      stage.record<unknown>(store.state$),
      stage.record<unknown>(store.status$),
      stage.record<unknown>(store.expiring$(1000)),
    ];
    const early = streams();
    const links = stage.record(store.status$);
    await store.close();
    for (const one of [changes, ...early]) assert.equal(one.completed, true);
    // A live store may report another source of hints, and stays live.
    assert.deepEqual([...new Set(links.values.map(({ link }) => link))], ['live', 'closed']);
    assert.equal(links.values.at(-1)?.link, 'closed');
    const late = streams();
    for (const one of late) assert.equal(one.completed, true);
    assert.deepEqual(late[0]?.values, []);
    assert.deepEqual(late[1]?.values, []);
  }),

  scene(
    'after close listeners and iterators receive nothing, and may come and go',
    async (stage) => {
      const { store } = await stage.watch();
      const received: unknown[] = [];
      const receive = (value: unknown): void => {
        received.push(value);
      };
      store.on('change', receive);
      await store.close();
      store
        .on('change', receive)
        .once('state', receive)
        .off('change', receive)
        .on('status', receive);
      assert.deepEqual(await store[Symbol.asyncIterator]().next(), {
        done: true,
        value: undefined,
      });
      await stage.store().save({ token: 'one' });
      await stage.advance(5);
      assert.deepEqual(received, []);
    },
  ),

  scene('close may be called again, by await using, and from a listener', async (stage) => {
    const { store } = await stage.watch();
    const again: Promise<void>[] = [];
    store.on('saved', () => {
      again.push(store.close());
    });
    await store.save({ token: 'one' }).catch((error: unknown) => asFailure('CLOSED', error));
    await stage.inTime('close', Promise.all([...again, store.close(), store.close()]));
    await store[Symbol.asyncDispose]();
    assert.equal(again.length, 1);
    assert.equal(store.status.link, 'closed');
  }),

  scene('close rejects pending calls of ready', async (stage) => {
    const store = stage.store();
    const waiting = store.ready().then(
      () => undefined,
      (error: unknown) => error,
    );
    await store.close();
    asFailure('CLOSED', await stage.inTime('ready', waiting));
  }),

  scene('close lets pending writes finish', async (stage) => {
    const { store } = await stage.watch();
    const write = store.save({ token: 'one' });
    await store.close();
    await write;
    assert.deepEqual(await stage.store().load(), { token: 'one' });
  }),

  scene('the closing of one store leaves the others as they are', async (stage) => {
    const { store } = await stage.watch();
    const other = await stage.watch();
    const elsewhere = await stage.watch({ instance: 'second' });
    await store.close();
    await stage.outside.set(stage.key, bytesOf('one'));
    for (const { changes } of [other, elsewhere]) await changes.expect('saved');
    await other.store.save({ token: 'two' });
    for (const { changes } of [other, elsewhere]) await changes.expect('saved');
  }),
];
