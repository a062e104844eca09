import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import type { CommandChannel } from '../../../src/redis/commands/channel.js';
import { createKnownEpoch, DataEpoch } from '../../../src/redis/feed/missed/data-epoch.js';

const KEY = 'credstream:epoch';

function world(share = 0.5) {
  const clock = new VirtualClock();
  const reports: number[] = [];
  const epoch = new DataEpoch(
    {
      connectionSettings: { clock },
      settings: () => ({ heartbeatMs: 5_000, probeMs: 60_000, random: () => share }),
      commands: { get: () => Promise.reject(new Error('closed')) } as unknown as CommandChannel,
      names: { unique: () => 'name' },
      ownKey: () => KEY,
      readsTogether: true,
      epoch: createKnownEpoch(),
    },
    () => Promise.resolve(undefined),
    () => {
      reports.push(clock.monotonic());
    },
  );
  return { clock, epoch, reports };
}

it('the first replacement of all data is reported at once', () => {
  const { clock, epoch, reports } = world();
  epoch.compare(KEY, 'a');
  epoch.compare(KEY, null);
  expect(reports).toEqual([clock.monotonic()]);
});

it('an epoch that changes with every heartbeat makes nobody read everything each time', async () => {
  const { clock, epoch, reports } = world();
  const beats = 720;
  for (let beat = 0; beat < beats; beat += 1) {
    epoch.compare(KEY, String(beat));
    await clock.advance(5_000);
  }
  // An hour of heartbeats: without a pause there were 719 reports.
  expect(reports.length).toBeLessThan(100);
  expect(reports.length).toBeGreaterThan(50);
});

it('a replacement that is put off is reported later, also when the epoch is the old one again', async () => {
  const { clock, epoch, reports } = world();
  epoch.compare(KEY, 'a');
  epoch.compare(KEY, 'b');
  epoch.compare(KEY, 'c');
  expect(reports).toHaveLength(1);
  for (let beat = 0; beat < 3; beat += 1) {
    await clock.advance(5_000);
    epoch.compare(KEY, 'c');
  }
  expect(reports).toHaveLength(2);
});
