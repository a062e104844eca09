import { expect, it } from 'vitest';

import { watched } from './entry-world.js';

const FORGED = { type: 'written', origin: 'unknown', reason: undefined } as const;

it('hints without any change request a bounded number of readings a second', async () => {
  const { backend, clock } = await watched({ token: 'a' });
  const before = backend.reads;
  for (let ms = 0; ms < 1_000; ms += 1) {
    backend.hint(FORGED);
    await clock.advance(1);
  }
  // Before: one for each hint.
  expect(backend.reads - before).toBeLessThanOrEqual(32 + 1_000 / 20);
});

it('a change among them is seen after 20 ms at most, and the next one at once', async () => {
  const world = await watched({ token: 'a' });
  const { backend, clock } = world;
  for (let count = 0; count < 100; count += 1) {
    backend.hint(FORGED);
    await clock.advance(1);
  }
  backend.put('b');
  backend.hint(FORGED);
  await clock.advance(20);
  expect(world.emitted()).toEqual(['saved b']);
  backend.put('c');
  backend.hint(FORGED);
  await clock.settle();
  expect(world.emitted()).toEqual(['saved b', 'saved c']);
});

it('a poll among them does not wait', async () => {
  const world = await watched({ token: 'a' });
  const { backend, clock } = world;
  for (let count = 0; count < 100; count += 1) {
    backend.hint(FORGED);
    await clock.advance(1);
  }
  backend.put('b');
  backend.hint(FORGED);
  backend.poll();
  await clock.settle();
  expect(world.emitted()).toEqual(['saved b']);
});
