import { expect, it } from 'vitest';

import { useMachineNoise } from '../support/machine-noise.js';
import { startNodeProcess } from '../support/node-process.js';
import { eventually } from '../support/wait.js';
import type { FirstReads } from './fixtures/stands-still.js';
import { FAST, KEY, useFaults } from './support/faults.js';

useMachineNoise();
const { connect, startNotifying, track } = useFaults();

/** Longer than anything is served without a proof. */
const STOOD_MS = FAST.heartbeatMs + FAST.replyTimeoutMs + 1_100;

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
  const args = [server.url, String(maxStalenessMs), String(stoppedMs), String(FAST.replyTimeoutMs)];
  const child = await startNodeProcess<FirstReads>(file, { args });
  track(child, () => child.stop());
  // The process is live.
  await child.next();
  await child.suspend();
  const stoppedAt = performance.now();
  await meanwhile(server);
  await eventually(() => performance.now() - stoppedAt > stoppedMs);
  child.resume();
  return child.next();
}

it.each([0, 900])(
  'a process that stood still serves nothing until Redis has answered (maxStalenessMs %d)',
  async (maxStalenessMs) => {
    const reads = await standStill(maxStalenessMs, STOOD_MS, async (server) => {
      await connect(server).del(KEY);
    });
    expect(reads).toEqual(WITHHELD);
  },
);

it('a process that stood still serves nothing while Redis cannot answer', async () => {
  const reads = await standStill(900, STOOD_MS, (server) => server.suspend());
  expect(reads).toEqual(WITHHELD);
});

it('a process that stood still goes on serving when maxStalenessMs is Infinity', async () => {
  const reads = await standStill(Infinity, STOOD_MS, async (server) => {
    await connect(server).del(KEY);
  });
  expect(reads).toMatchObject({ current: 'v1', state: 'present', derived: 'derived from v1' });
});
