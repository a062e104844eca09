import { Redis } from 'ioredis';
import { expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { createTraceWarning } from '../../../src/redis/client/tracing.js';
import { Connection } from '../../../src/redis/connection/connection.js';

it('an opening that was given up during the lookup of the address connects to nothing', async () => {
  let found: (place: Record<string, unknown>) => void = () => undefined;
  const made: Redis[] = [];
  const abort = new AbortController();
  const opening = Connection.open(
    {
      db: 0,
      locate: () => new Promise((resolve) => (found = resolve)),
      create: (overrides) => {
        const client = new Redis({ ...overrides, host: '127.0.0.1', port: 1 });
        made.push(client);
        return client;
      },
    },
    {
      clock: new VirtualClock(),
      name: 'credstream:commands',
      warnOfTraces: createTraceWarning(),
      replyTimeoutMs: () => 1_000,
    },
    abort.signal,
  );
  abort.abort();
  found({});
  await expect(opening).rejects.toThrow();
  expect(made).toEqual([]);
});
