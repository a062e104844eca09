import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import type { Clock } from '../../../src/time/clock.js';
import type { CredentialChange } from '../../../src/credential/change.js';
import { TrackedCredential } from '../../../src/watching/many/index-entry.js';
import { Encoding } from '../../../src/credential/encoding.js';
import { ServerTime } from '../../../src/time/server-time.js';

/** What is stored when it is looked at; nothing when the end is `undefined`. */
interface Stored {
  text: string;
  end: number;
}

/** @param judging - called when an observation has been dated and is about to be judged */
function track(
  clock: Clock,
  toleranceMs: number,
  stored: () => Stored | undefined,
  { expiresAt, judging }: { expiresAt?: () => number; judging?: () => void } = {},
) {
  const time = new ServerTime(clock);
  const told: CredentialChange<string>[] = [];
  const tracked = new TrackedCredential<string>('key', 'unknown', 0, {
    clock,
    encoding: new Encoding<string>(
      {
        serialize: (text) => text,
        deserialize: (bytes) => bytes.toString(),
        maxBytes: 100,
        decodeTimeoutMs: 100,
        onCallbackError: () => undefined,
      },
      expiresAt,
      clock,
    ),
    generation: 0,
    isLinkedAt: () => true,
    sourceFor: () => 'live',
    idOf: (key) => {
      judging?.();
      return key;
    },
    observe: () => {
      const serverNow = clock.now();
      time.sample(serverNow, clock.monotonic(), clock.monotonic());
      const found = stored();
      return Promise.resolve({
        content:
          found === undefined
            ? { type: 'absent' }
            : { type: 'bytes', bytes: Buffer.from(found.text) },
        expiresAt: found?.end,
        toleranceMs,
        serverNow,
        time,
      });
    },
    seen: (_tracked, _round, change) => {
      if (change !== undefined) told.push(change);
    },
    failed: () => undefined,
    rested: () => undefined,
  });
  return { tracked, told: () => told.map(({ type }) => type) };
}

it('tells an end that moved by less than can be told apart when it has come', async () => {
  const clock = new VirtualClock();
  let end = Math.floor(clock.now() + 1_000);
  const { tracked, told } = track(clock, 100, () =>
    clock.now() >= end + 1 ? undefined : { text: 'one', end },
  );
  tracked.read();
  await clock.advance(1);
  end += 60;
  tracked.read();
  await clock.advance(1_050);
  expect(told()).toEqual([]);
  await clock.advance(20);
  expect(told()).toEqual(['expired']);
  tracked.stop();
});

it('tells bytes that were past their end when they came as saved when they get a later one', async () => {
  const clock = new VirtualClock();
  let stored: Stored = { text: 'one', end: clock.now() + 1_000 };
  const { tracked, told } = track(clock, 0, () => stored);
  for (const next of [
    { text: 'two', end: clock.now() - 1 },
    { text: 'two', end: clock.now() + 2_000 },
    { text: 'two', end: clock.now() + 3_000 },
  ]) {
    tracked.read();
    await clock.advance(1);
    stored = next;
  }
  tracked.read();
  await clock.advance(1);
  expect(told()).toEqual(['expired', 'saved', 'renewed']);
  tracked.stop();
});

it('is not put off to the end of the TTL by a logical end that passes while it is judged', async () => {
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
  const { tracked, told } = track(clock, 0, () => stored, {
    expiresAt: () => logicalEnd,
    judging: () => {
      aheadMs = 10;
    },
  });
  tracked.read();
  await virtual.advance(100);
  expect(told()).toEqual(['expired']);
  tracked.stop();
});
