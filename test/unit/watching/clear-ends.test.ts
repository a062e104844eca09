import { expect, it } from 'vitest';

import { type LiveWorld, watched } from './entry-world.js';

/** A credential that comes and goes by the hand of a foreign client, with a second after each step. */
async function foreign({ backend, clock }: LiveWorld, text: string | undefined): Promise<number> {
  if (text === undefined) backend.hold({ type: 'absent' });
  else backend.put(text);
  const at = backend.serverNow();
  backend.hint(text === undefined ? { type: 'removed', as: 'cleared' } : {});
  await clock.advance(1_000);
  return at;
}

it('a clear ends with the time of the reading that found the key stored', async () => {
  const world = await watched(undefined);
  const at = await foreign(world, 'foreign');
  expect(world.backend.clearEnds).toEqual([['key', at]]);
});

it('the removal says it once more, with the time of the last reading that found the key stored', async () => {
  const world = await watched(undefined);
  await foreign(world, 'foreign');
  const at = await foreign(world, 'foreign again');
  world.backend.clearEnds.length = 0;
  await foreign(world, undefined);
  expect(world.backend.clearEnds).toEqual([['key', at]]);
});

it('a credential that came during a write of this instance counts as one too', async () => {
  const world = await watched(undefined);
  world.live.ownWrites = 1;
  const at = await foreign(world, 'foreign');
  expect(world.backend.clearEnds).toEqual([]);
  world.live.ownWrites = 0;
  await foreign(world, undefined);
  expect(world.backend.clearEnds).toEqual([['key', at]]);
});

it('a removal by an instance of this package ends nothing', async () => {
  const world = await watched({ token: 'one' });
  world.backend.hold({ type: 'absent' });
  world.backend.hint({ type: 'removed', as: 'cleared', origin: 'self' });
  await world.clock.advance(1_000);
  expect(world.changes.map(({ type }) => type)).toContain('cleared');
  expect(world.backend.clearEnds).toEqual([]);
});

it('a time from before a gap ends nothing: another server may have answered, with another clock', async () => {
  const world = await watched({ token: 'one' });
  const { backend, clock } = world;
  await clock.advance(1_000);
  backend.hold({ type: 'absent' });
  backend.feed({ gap: 'link' });
  await clock.advance(1_000);
  expect(world.changes.at(-1)?.type).toBe('cleared');
  expect(backend.clearEnds).toEqual([]);
});

it('the first reading after a gap sets the time', async () => {
  const world = await watched({ token: 'one' });
  const { backend, clock } = world;
  await clock.advance(1_000);
  backend.feed({ gap: 'link' });
  await clock.advance(1_000);
  const readAt = backend.serverNow() - 1_000;
  await foreign(world, undefined);
  expect(backend.clearEnds).toEqual([['key', readAt]]);
});

it('a reading that seems to be from before the last shows a clock that was set back', async () => {
  const world = await watched({ token: 'one' });
  world.backend.stepServer(-60_000);
  await foreign(world, undefined);
  expect(world.changes.at(-1)?.type).toBe('cleared');
  expect(world.backend.clearEnds).toEqual([]);
});
