import type { Redis } from 'ioredis';
import { expect } from 'vitest';

import { abilitiesOf, endOf } from './server-abilities.js';

/** Two ends up to 2 ms apart are one where a server does not give the end itself. */
const WOBBLE_MS = 2;

/** Expects that an end is the one of a key: exactly, where the server gives it. */
export async function expectEndOf(client: Redis, key: string, end: unknown): Promise<void> {
  const { givesEnds } = await abilitiesOf(client);
  const off = Math.abs(Number(end) - (await endOf(client, key)));
  expect(off).toBeLessThanOrEqual(givesEnds ? 0 : WOBBLE_MS);
}
