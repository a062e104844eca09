import { strict as assert } from 'node:assert';
import type { Observation } from '../../backend/backend.js';
import {
  MAX_BYTES,
  MINUTE_MS,
  scene,
  textOf,
  type BackendScene,
  type BackendStage,
} from './stage.js';

const EMPTY = { content: { type: 'absent' }, expiresAt: undefined };

/** Reads without a watch, over the link of the hints, and of many keys at once. */
export const readCases: readonly BackendScene[] = [
  scene('an absent key is read as absent, without an end', async (stage) => {
    for (const observe of await readers(stage)) {
      const { content, expiresAt } = await observe(stage.key);
      assert.deepEqual({ content, expiresAt }, EMPTY);
    }
  }),

  scene('bytes are read as they are, also none and any', async (stage) => {
    const observers = await readers(stage);
    for (const bytes of [Buffer.of(), Buffer.from([0, 255, 13, 10, 128]), Buffer.from('é')]) {
      await stage.outside.set(stage.key, bytes);
      for (const observe of observers) {
        const { content } = await observe(stage.key);
        assert.deepEqual(content, { type: 'bytes', bytes });
      }
    }
  }),

  scene('a reader owns the bytes that it got', async (stage) => {
    await stage.outside.set(stage.key, 'one');
    const { content } = await stage.read();
    assert.ok(content.type === 'bytes');
    content.bytes.fill(0);
    assert.equal(textOf(await stage.read()), 'one');
  }),

  scene('bytes up to maxBytes are transferred, and more are not', async (stage) => {
    const observers = await readers(stage);
    await stage.outside.set(stage.key, 'x'.repeat(MAX_BYTES));
    for (const observe of observers)
      assert.equal(textOf(await observe(stage.key)).length, MAX_BYTES);
    await stage.outside.set(stage.key, 'x'.repeat(MAX_BYTES + 1), MINUTE_MS);
    for (const observe of observers) {
      const { content, expiresAt } = await observe(stage.key);
      assert.deepEqual(content, { type: 'foreign', reason: 'too-large' });
      assert.ok(expiresAt !== undefined);
    }
  }),

  scene('the end of a key and the time of the server are in range, and agree', async (stage) => {
    const before = await stage.now();
    await stage.outside.set(stage.key, 'one', MINUTE_MS);
    await stage.assertEnd(MINUTE_MS, before);
    for (const observe of await readers(stage)) {
      const sentAt = await stage.now();
      const one = await observe(stage.key);
      const other = await observe(stage.key);
      const receivedAt = await stage.now();
      assert.ok(one.serverNow >= sentAt - 1 && one.serverNow <= other.serverNow);
      assert.ok(other.serverNow <= receivedAt + 1);
      assert.ok(one.expiresAt !== undefined && other.expiresAt !== undefined);
      const apart = Math.abs(one.expiresAt - other.expiresAt);
      assert.ok(apart <= Math.max(one.toleranceMs, other.toleranceMs), 'one end is read as two');
    }
  }),

  scene('the clock of an observation has taken in its sample', async (stage) => {
    for (const observe of await readers(stage)) {
      const { time, serverNow } = await observe(stage.key);
      const earliest = time.earliest();
      const now = await stage.now();
      assert.ok(earliest >= serverNow && earliest <= now, 'the earlier bound is no bound');
      assert.ok(time.latest() >= serverNow);
      assert.equal(time.verdict(serverNow + MINUTE_MS), 'before');
    }
  }),

  scene('a key that has ended is absent', async (stage) => {
    await stage.outside.set(stage.key, 'one', 20);
    await stage.advance(25);
    const { content, expiresAt } = await stage.read();
    assert.deepEqual({ content, expiresAt }, EMPTY);
  }),

  scene('many keys are read in their order, each as if it were read alone', async (stage) => {
    const names = ['c', 'a', 'none', 'large', 'b', 'a'];
    const keys = names.map((name) => stage.prefix + name);
    for (const name of ['a', 'b', 'c']) await stage.outside.set(stage.prefix + name, name);
    await stage.outside.set(`${stage.prefix}large`, 'x'.repeat(MAX_BYTES + 1));
    const { feed } = await stage.listen(stage.first, { prefix: stage.prefix });
    const answers = await stage.inTime(
      'readMany',
      feed.readMany?.(keys, MAX_BYTES) ?? Promise.resolve([]),
    );
    assert.ok(answers.length <= keys.length);
    const observations = await Promise.all(
      keys.map(async (key, at) => answers[at] ?? stage.read(stage.first, key)),
    );
    const contents = observations.map(({ content }) =>
      content.type === 'bytes' ? content.bytes.toString() : content.type,
    );
    assert.deepEqual(contents, ['c', 'a', 'absent', 'foreign', 'b', 'a']);
  }),
];

/** For a place that keeps other types of values than bytes. */
export const otherTypeCases: readonly BackendScene[] = [
  scene('a value of another type is foreign, and no write replaces it', async (stage) => {
    await stage.harness.storeOtherType?.(stage.key);
    for (const observe of await readers(stage)) {
      const { content } = await observe(stage.key);
      assert.deepEqual(content, { type: 'foreign', reason: 'wrong-type' });
    }
    await assert.rejects(stage.write(stage.first, 'one'));
    await assert.rejects(stage.write(stage.first, 'one', { expected: 'absent' }));
    const { content } = await stage.read();
    assert.deepEqual(content, { type: 'foreign', reason: 'wrong-type' });
    const { stored } = await stage.view();
    assert.equal(stored, true);
    for await (const page of stage.first.keys(stage.prefix)) assert.ok(!page.includes(stage.key));
  }),
];

type Read = (key: string) => Promise<Observation>;

/** Each way to read one key: without a watch, and with one over the link of the hints. */
async function readers(stage: BackendStage): Promise<readonly Read[]> {
  const { feed } = await stage.listen(stage.first);
  return [
    (key) => stage.read(stage.second, key),
    (key) => stage.read(stage.first, key),
    (key) => stage.inTime('read', feed.read(key, MAX_BYTES)),
  ];
}
