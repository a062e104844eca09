import { strict as assert } from 'node:assert';
import { failure } from '../contract/stage.js';
import { MAX_BYTES, scene, textOf, type BackendScene } from './stage.js';

/** The condition of a feed, its generations, and the instant up to which hints are confirmed. */
export const conditionCases: readonly BackendScene[] = [
  scene('the condition is reported in a later turn, to each subscriber', async (stage) => {
    for (const to of [{ key: stage.key }, { prefix: stage.prefix }, { key: stage.key }]) {
      const { conditions } = stage.subscribe(stage.first, to);
      assert.deepEqual(conditions.values, []);
      const condition = await conditions.take(({ link }) => link === 'live');
      assert.equal(condition.error, undefined);
      assert.ok(condition.maxLagMs >= 0 && condition.maxLagMs < Infinity);
      assert.equal(condition.fresh(0).link, 'live');
      assert.equal(condition.fresh(0).freshness, 'fresh');
      assert.equal(condition.unseen.freshness, 'unknown');
    }
  }),

  scene('a subscriber that leaves at once gets no condition', async (stage) => {
    const leaving = stage.subscribe(stage.first, { key: stage.key });
    leaving.stop();
    await stage.listen(stage.first);
    assert.deepEqual(leaving.conditions.values, []);
  }),

  scene('all subscribers of a healthy feed are in one generation', async (stage) => {
    const one = await stage.listen(stage.first);
    const two = await stage.listen(stage.first, { prefix: stage.prefix });
    await stage.write(stage.first, 'one');
    await stage.receivedAll(stage.first);
    const generations = [one, two].map(({ conditions }) => conditions.values.at(-1)?.generation);
    assert.equal(generations[0], generations[1]);
    const live = two.conditions.values.find(({ link }) => link === 'live');
    assert.equal(live?.generation, generations[1]);
  }),

  scene('a lost link and a new link each begin a generation', async (stage) => {
    const { conditions, feed } = await stage.listen(stage.first);
    const before = conditions.values.at(-1);
    await stage.harness.network.cut();
    const lost = await conditions.take(({ link }) => link !== 'live');
    assert.equal(lost.link, 'reconnecting');
    assert.equal(lost.gap, 'link');
    assert.notEqual(lost.generation, before?.generation);
    await failure('UNAVAILABLE', () => stage.inTime('read', feed.read(stage.key, MAX_BYTES)));
    await stage.outside.set(stage.key, 'meanwhile');
    await stage.harness.network.mend();
    const again = await conditions.take(({ link }) => link === 'live');
    assert.notEqual(again.generation, lost.generation);
    assert.notEqual(again.generation, before?.generation);
    const observation = feed.read(stage.key, MAX_BYTES);
    assert.equal(textOf(await stage.inTime('read', observation)), 'meanwhile');
  }),

  scene('a reported step of the clocks begins a generation', async (stage) => {
    const { conditions, feed } = await stage.listen(stage.first);
    const before = conditions.values.at(-1);
    feed.reportClockStep();
    const next = await conditions.take(({ gap }) => gap === 'clock');
    assert.notEqual(next.generation, before?.generation);
    assert.equal(next.link, 'live');
  }),

  scene(
    'confirmedAt moves on while the link is live, and never ahead of the clock',
    async (stage) => {
      const { feed } = await stage.listen(stage.first);
      const { clock } = stage.first;
      const start = feed.confirmedAt(stage.key);
      assert.ok(start <= clock.monotonic());
      let last = start;
      const deadline = performance.now() + stage.timeoutMs;
      while (last <= start && performance.now() < deadline) {
        await stage.advance(10);
        await stage.inTime('read', feed.read(stage.key, MAX_BYTES));
        const next = feed.confirmedAt(stage.key);
        assert.ok(next >= last, 'confirmedAt moves back');
        assert.ok(next <= clock.monotonic(), 'confirmedAt is ahead of the clock');
        last = next;
      }
      assert.ok(last > start, 'confirmedAt does not move on');
    },
  ),

  scene('confirmedAt stands still while there is no link', async (stage) => {
    const { conditions, feed } = await stage.listen(stage.first);
    const { clock } = stage.first;
    await stage.harness.network.cut();
    const cutAt = clock.monotonic();
    await conditions.take(({ link }) => link !== 'live');
    const stands = feed.confirmedAt(stage.key);
    assert.ok(stands <= cutAt, 'no proof can have come after the cut');
    await stage.advance(50);
    assert.equal(feed.confirmedAt(stage.key), stands);
    await stage.harness.network.mend();
    await conditions.take(({ link }) => link === 'live');
    assert.ok(feed.confirmedAt(stage.key) > stands);
  }),
];
