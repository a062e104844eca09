import { describe, expect, it } from 'vitest';

import { CredentialMemory, MemoryCredentialDirectory, RefusedError } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import type { Backend, FeedCondition } from '../../../src/backend/backend.js';
import type { TimeSlicer } from '../../../src/time/slicing.js';
import { KeyScan } from '../../../src/watching/key-scan.js';
import { statusBehind } from '../../../src/watching/tracking.js';
import { UnavailableError } from '../../../src/errors.js';
import { idleStatus } from '../../../src/credential/status.js';
import { collect, deferred } from '../../support/wait.js';

/** A scan over one known key and one that only a scan finds; a scan takes `scanMs` and fails while `broken`. */
function world({ scanMs = 0 } = {}) {
  const clock = new VirtualClock();
  const state = { broken: true };
  const log: string[] = [];
  const scans: number[] = [];
  const backend = {
    random: () => 0,
    async *keys() {
      scans.push(clock.monotonic());
      if (scanMs > 0) await new Promise<void>((resolve) => clock.setTimer(resolve, scanMs));
      if (state.broken) throw new UnavailableError('gone');
      yield await Promise.resolve(['new']);
    },
  };
  const pace = { yield: () => undefined } as unknown as TimeSlicer;
  const scan = new KeyScan(backend as unknown as Backend, '', clock, () => pace, {
    known: () => ['known'],
    found: (key) => log.push(key),
    done: (task) => log.push(`done ${task}`),
    failed: () => log.push('failed'),
  });
  return { clock, state, log, scans, scan };
}

describe('a key scan that fails', () => {
  it('is tried again ever more seldom, and reads the known keys once', async () => {
    const { clock, state, log, scans, scan } = world();
    scan.request('resync');
    await clock.advance(15_000);
    expect(scans).toEqual([0, 1_000, 3_000, 7_000, 12_000]);
    expect(log).toEqual(['known', ...Array<string>(5).fill('failed')]);
    state.broken = false;
    await clock.advance(16_000);
    expect(log.slice(-2)).toEqual(['new', 'done resync']);
    expect(log.filter((entry) => entry === 'known')).toHaveLength(1);
    scan.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('pauses for as long as it took', async () => {
    const { clock, scans, scan } = world({ scanMs: 10_000 });
    scan.request('resync');
    await clock.advance(60_000);
    expect(scans).toEqual([0, 20_000, 40_000, 60_000]);
    scan.stop();
  });

  it('reads every key again where that was requested meanwhile', async () => {
    const { clock, state, log, scan } = world({ scanMs: 100 });
    scan.request('resync');
    await clock.advance(50);
    scan.request('all');
    await clock.advance(100);
    state.broken = false;
    await clock.advance(1_500);
    expect(log).toEqual(['known', 'failed', 'known', 'new', 'done resync']);
    scan.stop();
  });
});

it('a directory shows only a refusal as a refusal', () => {
  const condition = { link: 'live', fresh: { ...idleStatus, link: 'live' } } as FeedCondition;
  const link = (complete: boolean, error: Error | undefined) =>
    statusBehind(condition, complete, undefined, error).link;
  expect(link(false, undefined)).toBe('connecting');
  expect(link(false, new UnavailableError('gone'))).toBe('connecting');
  expect(link(true, new UnavailableError('gone'))).toBe('reconnecting');
  expect(link(true, new RefusedError('NOPERM', 'no'))).toBe('unauthorized');
});

it('a reading from before a gap that is decoded after it does not confirm the time after', async () => {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  memory.set('app:a', 'one');
  const slow = deferred<string>();
  const directory = new MemoryCredentialDirectory<string>({
    prefix: 'app:',
    memory: memory,
    serialize: (text) => text,
    deserialize: (bytes) => (String(bytes) === 'slow' ? slow.promise : String(bytes)),
  });
  const changes = collect(directory.changes$);
  const statuses = collect(directory.status$);
  await directory.ready();
  await clock.settle();
  memory.set('app:a', 'slow');
  await clock.settle();
  memory.disconnect();
  memory.set('app:a', 'three');
  memory.reconnect();
  await clock.settle();
  const tokens = () => changes.values.map((one) => 'snapshot' in one && one.credentials);
  expect(statuses.values.at(-1)?.link).toBe('live');
  expect(changes.values.at(-1)).toMatchObject({ credentials: 'three', source: 'resync' });
  expect(tokens()).toEqual(['three']);
  slow.resolve('two');
  await clock.settle();
  expect(tokens()).toEqual(['three']);
  await directory.close();
});
