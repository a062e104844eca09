import { expect, it } from 'vitest';

import type { CredentialChange } from '../../src/index.js';
import { countCommands } from '../support/command-counter.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { KEY, NO_ROUNDS, saved, useFaults } from './support/faults.js';

const { connect, proxy, startNotifying, track, watch } = useFaults();

const WRITES = 20;
/** Between two writes; a read takes the time of some. */
const HINTS = 20;

it('a store sees changes while hints arrive faster than it can read', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.delay(3);
  const { changes } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 5_000 });
  const admin = connect(server);
  const { readCommand } = await abilitiesOf(admin);
  const forger = connect(server);
  let hints = 0;
  const timer = setInterval(() => {
    for (let n = 0; n < 3; n += 1) {
      hints += 1;
      void forger.publish(`__keyspace@0__:${KEY}`, 'set').catch(() => {});
    }
  }, 4);
  track(timer, clearInterval);
  const counted = await countCommands(admin, async () => {
    for (let n = 1; n <= WRITES; n += 1) {
      const until = hints + HINTS;
      await admin.set(KEY, `v${n}`);
      // The hints go on all the while: a read that they put off again and again would never come.
      await changes.next(saved(`v${n}`));
      await eventually(() => hints >= until);
    }
  });
  expect(changes.values.map(version)).toEqual(Array.from({ length: WRITES }, (_, n) => n + 1));
  // They come faster than it can read: the reads follow one another, and do not pile up behind the hints.
  expect(counted.get(readCommand)).toBeLessThan(hints * 0.8);
});

it('a save resolves while hints keep arriving', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.delay(3);
  const { store } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 5_000 });
  const forger = connect(server);
  const timer = setInterval(() => {
    void forger.publish(`__keyspace@0__:${KEY}`, 'del').catch(() => {});
  }, 1);
  track(timer, clearInterval);
  for (let n = 1; n <= 20; n += 1) {
    await store.save(`v${n}`);
    expect(store.current?.credentials).toBe(`v${n}`);
  }
});

function version(change: CredentialChange<string>): number {
  expect(change.type).toBe('saved');
  return change.type === 'saved' ? Number(change.credentials.slice(1)) : NaN;
}
