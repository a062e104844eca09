import { afterEach, expect, it } from 'vitest';

import { HOUR, watch, World } from './world.js';

const RECORD_KEY = 'credstream:attempt:k';
const RECORD = JSON.stringify({ v: 2, id: 'an attempt of a newer version' });
const NEWER = /newer version of credstream .* keeps off/;

let world: World;
afterEach(() => world.close());

/** An instance whose credential has ended, while an attempt of a newer version is recorded. */
async function behindNewer() {
  world = new World();
  await world.put('old', 1_000);
  const instance = await world.instance({ timeoutMs: 90_000 });
  world.memory.set(RECORD_KEY, RECORD, { ttlMs: HOUR });
  await world.clock.advance(2_000);
  return instance;
}

it('an instance keeps off an attempt of a newer version, and shows it to whoever waits', async () => {
  const { auth } = await behindNewer();
  const asked = watch(auth.credentials());
  await world.clock.advance(1_000);
  expect(auth.state).toMatchObject({
    type: 'backing-off',
    error: { code: 'UNAVAILABLE', message: expect.stringMatching(NEWER) as string },
  });
  await world.clock.advance(90_000);
  expect(asked.error).toMatchObject({
    code: 'TIMEOUT',
    cause: { code: 'UNAVAILABLE', message: expect.stringMatching(NEWER) as string },
  });
  expect(world.calls).toEqual([]);
  expect(world.memory.get(RECORD_KEY)?.toString()).toBe(RECORD);
});

it('an instance that waits gets the credentials that the newer version stores', async () => {
  const { auth } = await behindNewer();
  const asked = watch(auth.credentials());
  await world.clock.advance(5_000);
  await world.put('new', HOUR);
  expect(asked.value).toMatchObject({ token: 'new' });
  await world.clock.settle();
  expect(auth.state).toEqual({ type: 'idle' });
  expect(world.calls).toEqual([]);
  expect(world.memory.get(RECORD_KEY)?.toString()).toBe(RECORD);
});

it('an instance authenticates by itself once the record of the newer version has ended', async () => {
  const { auth } = await behindNewer();
  const asked = watch(auth.credentials({ timeoutMs: 2 * HOUR }));
  await world.clock.advance(HOUR - 3_000);
  expect(world.calls).toEqual([]);
  const longestPause = 60;
  for (let s = 0; s <= longestPause + 3 && world.calls.length === 0; s += 1)
    await world.clock.advance(1_000);
  await world.answer(1, 'own', HOUR);
  expect(asked.value).toMatchObject({ token: 'own' });
});

it('a running attempt whose lease was lost to a newer version is aborted, and its result discarded', async () => {
  world = new World();
  await world.put('old', 1_000);
  const discarded: unknown[] = [];
  const { auth } = await world.instance({ onDiscarded: (...all) => discarded.push(all) });
  await world.clock.advance(2_000);
  const asked = watch(auth.credentials());
  await world.clock.settle();
  const { signal } = world.call(1).request;
  world.memory.set(RECORD_KEY, RECORD, { ttlMs: HOUR });
  await world.clock.advance(10_000);
  expect(signal.aborted).toBe(true);
  await world.answer(1, 'late', HOUR);
  expect(discarded).toEqual([[expect.objectContaining({ token: 'late' }), 'superseded']]);
  expect(world.stored).toBe('old');
  expect(world.memory.get(RECORD_KEY)?.toString()).toBe(RECORD);
  await world.put('theirs', HOUR);
  expect(asked.value).toMatchObject({ token: 'theirs' });
  expect(world.calls).toHaveLength(1);
});
