import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import { createFeedCondition } from '../../../src/backend/backend.js';
import type { Clock } from '../../../src/time/clock.js';
import type { CredentialChange } from '../../../src/credential/change.js';
import { Entry } from '../../../src/watching/entry/entry.js';
import { Encoding } from '../../../src/credential/encoding.js';
import { unknown } from '../../../src/credential/state.js';
import { ServerTime } from '../../../src/time/server-time.js';
import { resolveStoreOptions } from '../../../src/stores/options.js';

/** What is stored when it is read; nothing when the end is `undefined`. */
interface Stored {
  text: string;
  end: number;
}

const condition = createFeedCondition({
  link: 'live',
  generation: 1,
  gap: 'link',
  notifications: 'keyspace',
  announcing: true,
  maxLagMs: 0,
  proof: { confirmedAt: Infinity },
  provenWithinMs: 0,
  error: undefined,
});

/** @param judging - called when an observation has been dated and is about to be judged */
function follow(
  clock: Clock,
  toleranceMs: number,
  stored: () => Stored | undefined,
  { expiresAt, judging }: { expiresAt?: () => number; judging?: () => void } = {},
) {
  const time = new ServerTime(clock);
  const emitted: CredentialChange<string>[] = [];
  const { shared: options } = resolveStoreOptions<string>({
    key: 'key',
    serialize: (text) => text,
    deserialize: (bytes) => bytes.toString(),
  });
  const owner = {
    scope: {
      clock,
      options,
      encoding: new Encoding<string>(options, expiresAt, clock),
      backend: { endClear: () => Promise.resolve() },
    },
    conditionAt: () => condition,
    idOf: (key: string) => {
      judging?.();
      return key;
    },
    subscription: undefined,
    read: () => {
      const serverNow = clock.now();
      time.sample(serverNow, clock.monotonic(), clock.monotonic());
      const found = stored();
      return Promise.resolve({
        content:
          found === undefined
            ? ({ type: 'absent' } as const)
            : ({ type: 'bytes', bytes: Buffer.from(found.text) } as const),
        expiresAt: found?.end,
        toleranceMs,
        serverNow,
        time,
      });
    },
    follower: {
      observed: () => undefined,
      refused: () => undefined,
      changed: (change: CredentialChange<string>) => {
        emitted.push(change);
      },
      idle: () => undefined,
    },
  };
  const entry = new Entry<string>('key', owner, unknown, 0);
  return { entry, emitted: () => emitted.map(({ type }) => type) };
}

it('an unopened entry emits an end that moved imperceptibly when it has come', async () => {
  const clock = new VirtualClock();
  let end = Math.floor(clock.now() + 1_000);
  const { entry, emitted } = follow(clock, 100, () =>
    clock.now() >= end + 1 ? undefined : { text: 'one', end },
  );
  entry.read();
  await clock.advance(1);
  end += 60;
  entry.read();
  await clock.advance(1_050);
  expect(emitted()).toEqual([]);
  await clock.advance(20);
  expect(emitted()).toEqual(['expired']);
  entry.stop();
});

it('an unopened entry emits bytes past their end as saved when they get a later one', async () => {
  const clock = new VirtualClock();
  let stored: Stored = { text: 'one', end: clock.now() + 1_000 };
  const { entry, emitted } = follow(clock, 0, () => stored);
  for (const next of [
    { text: 'two', end: clock.now() - 1 },
    { text: 'two', end: clock.now() + 2_000 },
    { text: 'two', end: clock.now() + 3_000 },
  ]) {
    entry.read();
    await clock.advance(1);
    stored = next;
  }
  entry.read();
  await clock.advance(1);
  expect(emitted()).toEqual(['expired', 'saved', 'renewed']);
  entry.stop();
});

it('an unopened entry keeps its logical end when that passes while it is judged', async () => {
  const virtual = new VirtualClock();
  let aheadMs = 0;
  const clock: Clock = {
    now: () => virtual.now() + aheadMs,
    monotonic: () => virtual.monotonic() + aheadMs,
    setTimer: (run, delayMs) => virtual.setTimer(run, delayMs),
    nextTurn: (run) => virtual.nextTurn(run),
  };
  const stored = { text: 'one', end: clock.now() + 3_600_000 };
  const logicalEnd = clock.now() + 3;
  const { entry, emitted } = follow(clock, 0, () => stored, {
    expiresAt: () => logicalEnd,
    judging: () => {
      aheadMs = 10;
    },
  });
  entry.read();
  await virtual.advance(100);
  expect(emitted()).toEqual(['expired']);
  entry.stop();
});
