import { expect, it } from 'vitest';

import { useMachineNoise } from '../support/machine-noise.js';
import { startNodeProcess } from '../support/node-process.js';
import { eventually } from '../support/wait.js';
import type { FirstReads } from './fixtures/stands-still.js';
import { KEY, useFaults } from './support/faults.js';

useMachineNoise();
const { connect, startNotifying, track } = useFaults();

const WITHHELD: FirstReads = {
  current: undefined,
  state: 'withheld',
  freshness: 'stale',
  derived: undefined,
  firstState: ['withheld'],
  firstCredentials: [],
  guarded: false,
};

/** A process that watches the credential `v1`, is stopped, and goes on after `meanwhile` and at least `stoppedMs`. */
async function standStill(
  maxStalenessMs: number,
  stoppedMs: number,
  meanwhile: (server: Awaited<ReturnType<typeof startNotifying>>) => Promise<void>,
): Promise<FirstReads> {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const file = new URL('./fixtures/stands-still.ts', import.meta.url);
  const args = [server.url, String(maxStalenessMs), String(stoppedMs)];
  const child = await startNodeProcess<FirstReads | 'live'>(file, { args });
  track(child, () => child.stop());
  await child.next((message) => message === 'live');
  await child.suspend();
  const stoppedAt = performance.now();
  await meanwhile(server);
  await eventually(() => performance.now() - stoppedAt > stoppedMs);
  child.resume();
  const reads = await child.next((message) => message !== 'live');
  if (reads === 'live') throw new Error('the process has not stood still');
  return reads;
}

it.each([0, 900])(
  'a process that stood still serves nothing until Redis has answered (maxStalenessMs %d)',
  async (maxStalenessMs) => {
    const reads = await standStill(maxStalenessMs, 1_500, async (server) => {
      await connect(server).del(KEY);
    });
    expect(reads).toEqual(WITHHELD);
  },
);

it('a process that stood still serves nothing while Redis cannot answer', async () => {
  const reads = await standStill(900, 1_500, (server) => server.suspend());
  expect(reads).toEqual(WITHHELD);
});

it('a process that stood still goes on serving when maxStalenessMs is Infinity', async () => {
  const reads = await standStill(Infinity, 1_500, async (server) => {
    await connect(server).del(KEY);
  });
  expect(reads).toMatchObject({ current: 'v1', state: 'present', derived: 'derived from v1' });
});
