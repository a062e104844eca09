import { VirtualClock } from 'credstream/testing';
import { expect, it } from 'vitest';

import type { CredentialChange } from '../../../src/credential-change.js';
import { TrackedCredential } from '../../../src/directory/tracked-credential.js';
import { Encoding } from '../../../src/encoding.js';
import { ServerTime } from '../../../src/server-time.js';

it('tells an end that moved by less than can be told apart when it has come', async () => {
  const clock = new VirtualClock();
  const time = new ServerTime(clock);
  const told: CredentialChange<string>[] = [];
  let end = Math.floor(clock.now() + 1_000);
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
      const gone = serverNow >= end + 1;
      return Promise.resolve({
        content: gone ? { type: 'absent' } : { type: 'bytes', bytes: Buffer.from('one') },
        expiresAt: gone ? undefined : end,
        toleranceMs: 100,
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
  tracked.look();
  await clock.advance(1);
  end += 60;
  tracked.look();
  await clock.advance(1_050);
  expect(told).toEqual([]);
  await clock.advance(20);
  expect(told.map(({ type }) => type)).toEqual(['expired']);
  tracked.stop();
});
