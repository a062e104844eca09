import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import type { CredentialChange } from '../../../src/credential-change.js';
import { TrackedCredential } from '../../../src/directory/tracked-credential.js';
import { Encoding } from '../../../src/encoding.js';
import { ServerTime } from '../../../src/server-time.js';

/** What is stored when it is looked at; nothing when the end is `undefined`. */
interface Stored {
  text: string;
  end: number;
}

function track(clock: VirtualClock, toleranceMs: number, stored: () => Stored | undefined) {
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
      undefined,
      clock,
    ),
    round: 0,
    isLinkedAt: () => true,
    sourceFor: () => 'live',
    idOf: (key) => key,
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
  tracked.look();
  await clock.advance(1);
  end += 60;
  tracked.look();
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
    tracked.look();
    await clock.advance(1);
    stored = next;
  }
  tracked.look();
  await clock.advance(1);
  expect(told()).toEqual(['expired', 'saved', 'renewed']);
  tracked.stop();
});
