import { expect, it } from 'vitest';

import type { CredentialChange } from '../../src/index.js';
import { countCommands } from '../support/command-counter.js';
import { KEY, NO_ROUNDS, saved, useFaults } from './support/faults.js';

const { connect, proxy, startNotifying, track, watch } = useFaults();

const WRITES = 40;
const PERIOD_MS = 50;

it('a store sees changes while hints arrive faster than it can read', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.delay(3);
  const { changes } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 5_000 });
  const admin = connect(server);
  const hints = keepHinting();
  const counted = await countCommands(admin, async () => {
    for (let n = 1; n <= WRITES; n += 1) {
      await admin.set(KEY, `v${n}`);
      await hints.duringNext(PERIOD_MS);
    }
    await changes.next(saved(`v${WRITES}`));
  });
  const perSecond = (hints.count() * 1_000) / (WRITES * PERIOD_MS);
  expect(perSecond).toBeGreaterThan(260);
  const seen = changes.values.map(version);
  expect(seen.length).toBeGreaterThan(WRITES * 0.7);
  expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
  // The reads follow one another; they do not pile up behind the hints.
  expect(counted.get('evalsha_ro')).toBeLessThan(hints.count() * 0.8);

  function keepHinting() {
    const forger = connect(server);
    let sent = 0;
    const timer = setInterval(() => {
      for (let n = 0; n < 3; n += 1) {
        sent += 1;
        void forger.publish(`__keyspace@0__:${KEY}`, 'set').catch(() => {});
      }
    }, 4);
    track(timer, clearInterval);
    return {
      count: () => sent,
      duringNext: (ms: number) =>
        new Promise<void>((resolve) => {
          setTimeout(resolve, ms);
        }),
    };
  }
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
