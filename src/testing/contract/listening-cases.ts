import { strict as assert } from 'node:assert';
import type { CredentialChange } from '../../credential/change.js';
import { bytesOf, HOUR_MS, scene, type Scene } from './stage.js';

/** Plain listeners and async iteration. */
export const listeningCases: readonly Scene[] = [
  scene('on passes the events of its type, in the order of changes$', async (stage) => {
    const { store, changes } = await stage.watch({ onCallbackError: () => undefined });
    const received: unknown[] = [];
    const receive = (value: unknown): void => {
      received.push(value);
    };
    const returned = store
      .on('saved', receive)
      .on('renewed', receive)
      .on('cleared', receive)
      .on('unreadable', receive);
    assert.equal(returned, store);
    const all: CredentialChange<unknown>[] = [];
    store.on('change', (change) => all.push(change));
    await store.save({ token: 'one' });
    await stage.outside.expire(stage.key, HOUR_MS);
    await changes.take(({ type }) => type === 'renewed');
    await stage.outside.set(stage.key, '{');
    await changes.take(({ type }) => type === 'unreadable');
    await store.clear();
    assert.deepEqual(changes.types, ['saved', 'renewed', 'unreadable', 'cleared']);
    assert.deepEqual(received, changes.values);
    assert.deepEqual(all, changes.values);
  }),

  scene('on passes states and statuses; a listener to status starts no watch', async (stage) => {
    const store = stage.store();
    const links: string[] = [];
    const states: string[] = [];
    store.on('status', ({ link }) => links.push(link));
    assert.equal(store.status.link, 'idle');
    store.on('state', ({ type }) => states.push(type));
    await stage.inTime('ready', store.ready());
    await store.save({ token: 'one' });
    assert.equal(links.at(-1), 'live');
    assert.deepEqual(states, ['absent', 'present']);
  }),

  scene('once passes one event', async (stage) => {
    const { store } = await stage.watch();
    const received: unknown[] = [];
    assert.equal(
      store.once('saved', ({ credentials }) => received.push(credentials)),
      store,
    );
    await store.save({ token: 'one' });
    await store.save({ token: 'two' });
    assert.deepEqual(received, [{ token: 'one' }]);
  }),

  scene('off removes a listener, and the last removal ends the watch', async (stage) => {
    const store = stage.store();
    const received: string[] = [];
    const saved = (): void => {
      received.push('saved');
    };
    const cleared = (): void => {
      received.push('cleared');
    };
    store.on('saved', saved).once('cleared', cleared);
    await stage.record(store.status$).take(({ link }) => link === 'live');
    await store.save({ token: 'one' });
    assert.equal(store.off('saved', saved), store);
    store.off('saved', saved).off('renewed', saved);
    await store.save({ token: 'two' });
    assert.deepEqual(received, ['saved']);
    assert.equal(store.status.link, 'live');
    store.off('cleared', cleared);
    assert.equal(store.status.link, 'idle');
    await store.clear();
    assert.deepEqual(received, ['saved']);
  }),

  scene('the error of a listener goes to onCallbackError', async (stage) => {
    const reported: { error: unknown; where: string }[] = [];
    const { store } = await stage.watch({
      onCallbackError: (error, where) => {
        reported.push({ error, where });
      },
    });
    const thrown = new Error('thrown');
    const rejected = new Error('rejected');
    const received: string[] = [];
    store.on('saved', () => {
      throw thrown;
    });
    store.on('saved', () => Promise.reject(rejected));
    store.on('saved', ({ credentials }) => received.push(credentials.token));
    await store.save({ token: 'one' });
    assert.deepEqual(received, ['one']);
    assert.deepEqual(
      reported.map(({ error }) => error),
      [thrown, rejected],
    );
    assert.ok(reported.every(({ where }) => where.includes('saved')));
  }),

  scene('listeners may call the store', async (stage) => {
    const { store, changes } = await stage.watch();
    store.once('saved', () => store.save({ token: 'two' }));
    store.once('change', () => {
      assert.deepEqual(store.current?.credentials, { token: 'one' });
    });
    await store.save({ token: 'one' });
    await changes.expect('saved');
    assert.deepEqual((await changes.expect('saved')).credentials, { token: 'two' });
  }),

  scene('iteration returns every change from its start, in order', async (stage) => {
    const { store } = await stage.watch();
    await store.save({ token: 'zero' });
    const iterator = store[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await store.save({ token: 'one' });
    await store.clear();
    const tokens: string[] = [];
    const first = await stage.inTime('next', waiting);
    assert.ok(first.done !== true && first.value.type === 'saved');
    tokens.push(first.value.credentials.token);
    const second = await stage.inTime('next', iterator.next());
    assert.ok(second.done !== true && second.value.type === 'cleared');
    assert.deepEqual(tokens, ['one']);
    await iterator.return?.();
    assert.deepEqual(await iterator.next(), { done: true, value: undefined });
  }),

  scene('iteration watches until it is left, and ends when the store closes', async (stage) => {
    const store = stage.store();
    const emitted = stage.record(store.status$);
    await stage.outside.set(stage.key, bytesOf('one'));
    const left = (async () => {
      for await (const change of store) return change.type;
      return undefined;
    })();
    await emitted.take(({ link }) => link === 'live');
    await store.save({ token: 'two' });
    assert.equal(await stage.inTime('the loop', left), 'saved');
    await emitted.take(({ link }) => link === 'idle');

    const ended = (async () => {
      const types: string[] = [];
      for await (const change of store) types.push(change.type);
      return types;
    })();
    await emitted.take(({ link }) => link === 'live');
    await store.clear();
    await store.close();
    assert.deepEqual(await stage.inTime('the loop', ended), ['cleared']);
  }),
];
