import { strict as assert } from 'node:assert';
import { isCredstreamError } from '../../errors.js';
import type { Backend } from '../../backend/backend.js';
import { MAX_BYTES, scene, type BackendScene, type BackendStage } from './stage.js';

/** The end of a backend. */
export const closeCases: readonly BackendScene[] = [
  scene('close settles on an unused backend, also more than once', async (stage) => {
    await stage.close(stage.first);
    await Promise.all([stage.close(stage.first), stage.close(stage.first)]);
    await assertClosed(stage, stage.first);
  }),

  scene('close settles on a backend in use, and later calls reject', async (stage) => {
    await stage.listen(stage.first);
    await stage.write(stage.first, 'one');
    await stage.close(stage.first);
    await stage.close(stage.first);
    await assertClosed(stage, stage.first);
    assert.equal(await stage.stored(), 'one');
  }),

  scene(
    'calls under way at a close settle, each with its value or an error of ours',
    async (stage) => {
      const { first } = stage;
      await stage.listen(first);
      await stage.write(first, 'one');
      const settled = Promise.allSettled(callsOf(stage, first).map((call) => call()));
      await stage.close(first);
      for (const result of await stage.inTime('the calls', settled))
        if (result.status === 'rejected') assert.ok(isCredstreamError(result.reason));
    },
  ),

  scene('close settles while there is no link', async (stage) => {
    const { conditions } = await stage.listen(stage.first);
    await stage.harness.network.cut();
    await conditions.take(({ link }) => link !== 'live');
    await stage.close(stage.first);
    await stage.harness.network.mend();
    await assertClosed(stage, stage.first);
  }),

  scene('the close of one backend leaves the others as they are', async (stage) => {
    const watch = await stage.listen(stage.second);
    await stage.write(stage.first, 'one');
    await stage.close(stage.first);
    await stage.write(stage.second, 'two', { reason: 'after' });
    await stage.expectHint(watch, { type: 'written', origin: 'self', reason: 'after' });
  }),
];

async function assertClosed(stage: BackendStage, backend: Backend): Promise<void> {
  const before = await stage.stored();
  for (const call of callsOf(stage, backend)) {
    const outcome = await stage.inTime(
      'a call',
      call().then(
        () => 'no error',
        (error: unknown) => (isCredstreamError(error) ? error.code : error),
      ),
    );
    assert.ok(outcome === 'CLOSED' || outcome === 'UNAVAILABLE', String(outcome));
  }
  assert.equal(await stage.stored(), before);
}

function callsOf(stage: BackendStage, backend: Backend): (() => Promise<unknown>)[] {
  const { key, prefix } = stage;
  const bytes = Buffer.from('late');
  const plain = { key, expected: undefined, reason: undefined };
  const write = { ...plain, bytes, ttl: 'none', overLarge: false, wanted: undefined } as const;
  return [
    () => backend.read(key, MAX_BYTES),
    () => stage.subscribe(backend, { key }).feed.read(key, MAX_BYTES),
    () => backend.write(write),
    () => backend.write({ ...write, expected: 'absent' }),
    () => backend.remove(plain),
    () => backend.swap({ key }),
    async () => {
      for await (const page of backend.keys(prefix)) assert.ok(page.length > 0);
    },
  ];
}
