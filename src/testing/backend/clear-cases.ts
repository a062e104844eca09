import { strict as assert } from 'node:assert';
import { failure } from '../contract/stage.js';
import { digestOf, scene, type BackendScene, type BackendStage } from './stage.js';

/** The end of a clear. */
export const clearCases: readonly BackendScene[] = [
  scene('a write ends an earlier clear, whatever it expects', async (stage) => {
    const ways = [
      { expected: undefined },
      { expected: undefined, overLarge: true },
      { expected: 'absent' },
    ] as const;
    for (const more of ways) {
      await stage.remove(stage.first);
      const cleared = await stage.view();
      assert.equal(cleared.clearEnded, false);
      await stage.write(stage.second, 'one', more);
      await stage.outside.delete(stage.key);
      const { clearEnded, clearedAt, version } = await stage.view();
      assert.equal(clearEnded, true);
      // The instant of the clear still counts for attempts from before it.
      assert.equal(clearedAt, cleared.clearedAt);
      assert.notEqual(version, cleared.version);
    }
  }),

  scene('a write of the expected bytes ends an earlier clear', async (stage) => {
    await stage.remove(stage.first);
    await stage.outside.set(stage.key, 'one');
    await stage.write(stage.first, 'two', { expected: digestOf('one') });
    await stage.outside.delete(stage.key);
    assert.equal((await stage.view()).clearEnded, true);
  }),

  scene('a write that is in conflict with what is absent ends no clear', async (stage) => {
    await stage.remove(stage.first);
    await failure('CONFLICT', () =>
      stage.write(stage.second, 'two', { expected: digestOf('one') }),
    );
    assert.equal((await stage.view()).clearEnded, false);
  }),

  scene('a write without an earlier clear leaves nothing beside the key', async (stage) => {
    await stage.write(stage.first, 'one');
    const { clearedAt, clearEnded } = await stage.view();
    assert.deepEqual({ clearedAt, clearEnded }, { clearedAt: undefined, clearEnded: false });
  }),

  scene('the clear of a key that is stored again can be ended', async (stage) => {
    await stage.remove(stage.first);
    await stage.outside.set(stage.key, 'one');
    assert.equal((await stage.view()).clearEnded, false);
    await end(stage);
    await stage.outside.delete(stage.key);
    assert.equal((await stage.view()).clearEnded, true);
  }),

  scene('the clear of an absent key is not ended', async (stage) => {
    await stage.outside.set(stage.key, 'one');
    await stage.remove(stage.first);
    await end(stage);
    assert.equal((await stage.view()).clearEnded, false);
  }),

  scene('a clear from before a reading that found the key stored is ended', async (stage) => {
    await stage.remove(stage.first);
    await stage.advance(10);
    const storedAt = await stage.now();
    await end(stage, storedAt - 60_000);
    assert.equal((await stage.view()).clearEnded, false);
    await end(stage, storedAt);
    assert.equal((await stage.view()).clearEnded, true);
  }),

  scene('a reading that seems to be of a time to come ends no clear', async (stage) => {
    await stage.remove(stage.first);
    await stage.advance(10);
    await end(stage, (await stage.now()) + 60_000);
    assert.equal((await stage.view()).clearEnded, false);
  }),

  scene('a clear after a clear that ended is one', async (stage) => {
    await stage.remove(stage.first);
    await stage.write(stage.first, 'one');
    const storedAt = await stage.now();
    await stage.advance(10);
    await stage.remove(stage.second);
    await end(stage, storedAt);
    assert.equal((await stage.view()).clearEnded, false);
  }),
];

function end(stage: BackendStage, storedAt?: number): Promise<void> {
  return stage.inTime('endClear', stage.second.endClear(stage.key, storedAt));
}
