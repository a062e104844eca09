import { strict as assert } from 'node:assert';
import { WithdrawnError } from '../../credential/withdrawal.js';
import { withdrawalBy } from '../../credential/change.js';
import type { CredentialChange } from '../../credential/change.js';
import { assertHides, bytesOf, CANARY, scene, type Scene } from './stage.js';

/** Signals of snapshots, and representations that must not show credentials. */
export const snapshotCases: readonly Scene[] = [
  scene('the signal of a snapshot aborts when it is cleared, with the change', async (stage) => {
    const { store, changes } = await stage.watch();
    await store.save({ token: 'one' });
    const signal = store.current?.signal;
    assert.equal(signal?.aborted, false);
    await changes.expect('saved');
    await stage.store({ instance: 'second' }).clear();
    const cleared = await changes.expect('cleared');
    assert.equal(signal.aborted, true);
    assertWithdrawn(signal.reason, cleared);
    // The signal is read for the first time here.
    assert.equal(cleared.previous?.signal.aborted, true);
  }),

  scene('the signal of a snapshot aborts when it expires', async (stage) => {
    const { store, changes } = await stage.watch();
    await stage.outside.set(stage.key, bytesOf('one'), 200);
    const { expiresAt = 0 } = await changes.expect('saved');
    const signal = store.current?.signal;
    await stage.reach(expiresAt);
    const expired = await changes.expect('expired');
    assertWithdrawn(signal?.reason, expired);
  }),

  scene('the signal of a snapshot aborts when the bytes become unreadable', async (stage) => {
    const { store, changes } = await stage.watch({ onCallbackError: () => undefined });
    await store.save({ token: 'one' });
    await changes.expect('saved');
    const signal = store.current?.signal;
    assert.equal(signal?.aborted, false);
    await stage.outside.set(stage.key, '{');
    const unreadable = await changes.expect('unreadable');
    assertWithdrawn(signal.reason, unreadable);
  }),

  scene(
    'a rotation aborts nothing, and a withdrawal of the new credential withdraws the old one',
    async (stage) => {
      const { store, changes } = await stage.watch();
      await store.save({ token: 'one' });
      const { snapshot } = await changes.expect('saved');
      await stage.outside.expire(stage.key, 3_600_000);
      await changes.expect('renewed');
      await store.save({ token: 'two' });
      await changes.expect('saved');
      assert.equal(snapshot.signal.aborted, false);
      await store.clear();
      assertWithdrawn(snapshot.signal.reason, await changes.expect('cleared'));
      await store.save({ token: 'three' });
      assert.equal(store.current?.signal.aborted, false);
    },
  ),

  scene('a rotation with abortOnSaved aborts the old signal', async (stage) => {
    const { store, changes } = await stage.watch({ abortOnSaved: true });
    await store.save({ token: 'one' });
    const one = await changes.expect('saved');
    await stage.outside.expire(stage.key, 3_600_000);
    await changes.expect('renewed');
    assert.equal(one.snapshot.signal.aborted, false);
    await store.save({ token: 'two' });
    const two = await changes.expect('saved');
    assertWithdrawn(one.snapshot.signal.reason, two);
    assert.equal(two.snapshot.signal.aborted, false);
  }),

  scene('the signal of a snapshot that was read aborts while the store watches', async (stage) => {
    const { store } = await stage.watch();
    await store.save({ token: 'one' });
    const snapshot = await store.read();
    assert.equal(snapshot?.signal.aborted, false);
    await store.clear();
    assert.equal(snapshot.signal.aborted, true);
  }),

  scene('credentials are readable by name and show nowhere else', async (stage) => {
    const { store, changes } = await stage.watch<{ token: string }>({
      onCallbackError: () => undefined,
    });
    await store.save({ token: CANARY }, { ttlSeconds: 3600 });
    const saved = await changes.expect('saved');
    await stage.outside.expire(stage.key, 7_200_000);
    const renewed = await changes.expect('renewed');
    const snapshot = await store.read();
    const inMemory = [store.current, store.state, store.status, { ...saved }, { ...snapshot }];
    await stage.outside.set(stage.key, `{"token":"${CANARY}`);
    const unreadable = await changes.expect('unreadable');
    await store.save({ token: `${CANARY} again` });
    await changes.expect('saved');
    await store.clear();
    const cleared = await changes.expect('cleared');

    for (const change of [saved, renewed]) {
      assert.equal(change.credentials.token, CANARY);
      assert.equal(change.snapshot.credentials.token, CANARY);
    }
    assert.equal(snapshot?.credentials.token, CANARY);
    const shown = [saved, renewed, unreadable, unreadable.error, cleared, snapshot, store];
    for (const value of [...shown, ...inMemory]) assertHides(value);
  }),

  scene('errors of serialize do not show the credentials', async (stage) => {
    const reported: unknown[] = [];
    const store = stage.store<string>({
      serialize: (value) => {
        throw new Error(value);
      },
      deserialize: (bytes) => {
        throw new Error(bytes.toString('utf8'));
      },
      onCallbackError: (error) => reported.push(error),
    });
    await assert.rejects(store.save(CANARY), (error) => {
      assertHides(error);
      return true;
    });
    await stage.outside.set(stage.key, CANARY);
    assert.equal(await store.load(), undefined);
    await assert.rejects(
      store.update(() => 'x'),
      (error) => {
        assertHides(error);
        return true;
      },
    );
    // The caller's own handler gets the caller's own errors.
    assert.equal(reported.length, 3);
  }),
];

/** The reason is an error that names the change and holds no credentials. */
function assertWithdrawn(reason: unknown, change: CredentialChange<unknown>): void {
  assert.ok(reason instanceof WithdrawnError);
  assert.equal(reason.name, 'AbortError');
  assert.equal(reason.code, 'CREDENTIAL_WITHDRAWN');
  assert.deepEqual(reason.change, withdrawalBy(change));
  assert.equal('previous' in reason.change || 'credentials' in reason.change, false);
}
