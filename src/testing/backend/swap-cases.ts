import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import type { AttemptChange, AttemptRecord, AttemptView } from '../../backend/attempts.js';
import type { Backend } from '../../backend/backend.js';
import {
  digestOf,
  MINUTE_MS,
  originOf,
  scene,
  type BackendScene,
  type BackendStage,
} from './stage.js';

/** The compare-and-set beside a credential. */
export const swapCases: readonly BackendScene[] = [
  scene('beside nothing there is an empty view, with the time of the server', async (stage) => {
    const before = Math.floor(await stage.now());
    const { now, version, ...view } = await stage.view();
    const after = await stage.now();
    assert.deepEqual(view, {
      record: undefined,
      stored: false,
      conflict: false,
      clearedAt: undefined,
      clearEnded: false,
    });
    assert.ok(Number.isSafeInteger(now) && now >= before && now <= after);
    assert.equal((await stage.view(stage.second)).version, version);
  }),

  scene('a swap on an unchanged view swaps, for all instances', async (stage) => {
    const view = await stage.view();
    const record = recordOf(stage.first, view);
    assert.equal(await swap(stage, stage.second, view, { record }), 'swapped');
    const next = await stage.view();
    assert.deepEqual(next.record, record);
    assert.notEqual(next.version, view.version);
    const later = {
      ...record,
      outcome: 'failed',
      failures: 3,
      oauthError: 'invalid_grant',
    } as const;
    assert.equal(await swap(stage, stage.first, next, { record: later }), 'swapped');
    assert.deepEqual((await stage.view()).record, later);
  }),

  scene('a swap on a changed view gives the new view and changes nothing', async (stage) => {
    const old = await stage.view();
    const record = recordOf(stage.first, old);
    await swap(stage, stage.first, old, { record });
    const answer = await swap(stage, stage.second, old, {
      record: recordOf(stage.second, old),
      dropTombstone: true,
      write: { bytes: Buffer.from('lost'), ttl: 'none', replaces: 'absent' },
      announce: 'saved',
    });
    const current = await stage.view();
    assert.ok(answer !== 'swapped');
    assert.deepEqual({ ...answer, now: current.now }, current);
    assert.equal(answer.conflict, false);
    assert.deepEqual(current.record, record);
    assert.equal(await stage.stored(), undefined);
  }),

  scene('the version follows record, tombstone and presence, and not the bytes', async (stage) => {
    const versions = [(await stage.view()).version];
    await stage.outside.set(stage.key, 'one');
    versions.push((await stage.view()).version);
    await stage.outside.set(stage.key, 'two', MINUTE_MS);
    assert.equal((await stage.view()).version, versions.at(-1));
    await stage.remove(stage.first);
    versions.push((await stage.view()).version);
    const view = await stage.view();
    await swap(stage, stage.first, view, { record: recordOf(stage.first, view) });
    versions.push((await stage.view()).version);
    assert.equal(new Set(versions).size, versions.length);
  }),

  scene('of many swaps on one view one swaps', async (stage) => {
    const view = await stage.view();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        const backend = n % 2 === 0 ? stage.first : stage.second;
        const record = { ...recordOf(backend, view), number: n + 1 };
        return swap(stage, backend, view, { record });
      }),
    );
    assert.equal(answers.filter((answer) => answer === 'swapped').length, 1);
    const { record } = await stage.view();
    assert.equal(answers[(record?.number ?? 0) - 1], 'swapped');
  }),

  scene('a swap stores the credential with its TTL, in the same step', async (stage) => {
    await stage.outside.set(stage.key, 'one');
    let text = 'one';
    let before = await stage.now();
    for (const [ttl, next] of [
      [MINUTE_MS, 'two'],
      ['keep', 'three'],
      ['none', 'four'],
    ] as const) {
      const view = await stage.view();
      if (ttl === MINUTE_MS) before = await stage.now();
      const record = { ...recordOf(stage.first, view), committed: next };
      const write = { bytes: Buffer.from(next), ttl, replaces: digestOf(text) };
      assert.equal(await swap(stage, stage.first, view, { record, write }), 'swapped');
      assert.equal(await stage.stored(), next);
      assert.deepEqual((await stage.view()).record, record);
      if (ttl === 'none') assert.equal((await stage.read()).expiresAt, undefined);
      else await stage.assertEnd(MINUTE_MS, before);
      text = next;
    }
  }),

  scene('a swap writes where nothing is, or where its bytes are already', async (stage) => {
    const write = { bytes: Buffer.from('new'), ttl: 'none', replaces: 'absent' } as const;
    for (const state of ['absent', 'new']) {
      assert.equal(await swap(stage, stage.first, await stage.view(), { write }), 'swapped', state);
      assert.equal(await stage.stored(), 'new');
    }
    await stage.outside.delete(stage.key);
    const replaces = digestOf('old');
    const late = { write: { ...write, replaces } };
    assert.equal(await swap(stage, stage.first, await stage.view(), late), 'swapped');
    assert.equal(await stage.stored(), 'new');
  }),

  scene(
    'a swap that would replace other bytes is in conflict and changes nothing',
    async (stage) => {
      await stage.outside.set(stage.key, 'other');
      for (const replaces of [digestOf('one'), 'absent'] as const) {
        const view = await stage.view();
        const answer = await swap(stage, stage.first, view, {
          record: recordOf(stage.first, view),
          write: { bytes: Buffer.from('two'), ttl: MINUTE_MS, replaces },
        });
        assert.ok(answer !== 'swapped');
        assert.deepEqual({ ...answer, now: 0 }, { ...view, now: 0, conflict: true });
        assert.equal(await stage.stored(), 'other');
        assert.deepEqual({ ...(await stage.view()), now: 0 }, { ...view, now: 0 });
      }
    },
  ),

  scene('a swap drops the tombstone only when it says so', async (stage) => {
    await stage.remove(stage.first);
    const cleared = await stage.view();
    await swap(stage, stage.first, cleared, { record: recordOf(stage.first, cleared) });
    const still = await stage.view();
    // Some servers tell the time left, and the end is a sum.
    assert.ok(Math.abs(Number(still.clearedAt) - Number(cleared.clearedAt)) <= 1);
    assert.equal(await swap(stage, stage.first, still, { dropTombstone: true }), 'swapped');
    const dropped = await stage.view();
    assert.equal(dropped.clearedAt, undefined);
    assert.deepEqual(dropped.record, still.record);
  }),

  scene('text of another program in place of a record counts as no record', async (stage) => {
    const view = await stage.view();
    const record = { ...recordOf(stage.first, view), instance: 'none of ours' };
    assert.equal(await swap(stage, stage.first, view, { record }), 'swapped');
    const foreign = await stage.view();
    assert.equal(foreign.record, undefined);
    assert.notEqual(foreign.version, view.version);
  }),

  scene('a swap announces what it says, to all who watch', async (stage) => {
    const own = await stage.listen(stage.first);
    const other = await stage.listen(stage.second);
    const all = await stage.listen(stage.second, { prefix: stage.prefix });
    const write = { bytes: Buffer.from('one'), ttl: 'none', replaces: 'absent' } as const;
    await swap(stage, stage.first, await stage.view(), { write, announce: 'saved' });
    const saved = { type: 'written', reason: undefined } as const;
    await stage.expectHint(own, { ...saved, origin: 'self' });
    await stage.expectHint(other, { ...saved, origin: originOf(stage.first) });
    await stage.expectHint(all, { ...saved, origin: originOf(stage.first) });
    const view = await stage.view();
    const record = recordOf(stage.first, view);
    await swap(stage, stage.first, view, { record, announce: 'attempt' });
    for (const watch of [own, other, all]) await stage.expectHint(watch, { type: 'attempt' });
  }),

  scene('a swap of a record alone, and a question, announce nothing', async (stage) => {
    const own = await stage.listen(stage.first);
    const other = await stage.listen(stage.second, { prefix: stage.prefix });
    const view = await stage.view();
    await swap(stage, stage.first, view, { record: recordOf(stage.first, view) });
    await stage.view(stage.second);
    await stage.receivedAll(stage.first);
    await stage.receivedAll(stage.second);
    assert.deepEqual([own.hints.values, other.hints.values], [[], []]);
  }),

  scene('a swap that changes nothing announces nothing', async (stage) => {
    const watch = await stage.listen(stage.second);
    const old = await stage.view();
    await swap(stage, stage.first, old, { record: recordOf(stage.first, old) });
    const late = { record: recordOf(stage.first, old), announce: 'attempt' } as const;
    assert.notEqual(await swap(stage, stage.first, old, late), 'swapped');
    await stage.receivedAll(stage.second);
    assert.deepEqual(watch.hints.values, []);
  }),
];

function swap(
  stage: BackendStage,
  backend: Backend,
  { version }: AttemptView,
  change: AttemptChange,
): Promise<AttemptView | 'swapped'> {
  const { key } = stage;
  return stage.inTime('swap', backend.swap({ key, change: { ...change, version } }));
}

function recordOf({ instance }: Backend, { now }: AttemptView): AttemptRecord {
  return {
    ...{ id: randomUUID(), instance, number: 1, startedAt: now, leaseEndsAt: now + MINUTE_MS },
    ...{ outcome: 'running', failures: 0, notBefore: now + 10 },
    ...{ inDoubt: undefined, startedFromNothing: undefined },
    ...{ committed: undefined, endsAt: undefined, oauthError: undefined },
  };
}
