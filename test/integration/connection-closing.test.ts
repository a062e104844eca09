import { expect, it } from 'vitest';

import { systemClock } from '../../src/time/clock.js';
import { createTraceWarning } from '../../src/redis/client/tracing.js';
import { ConnectionLostError } from '../../src/redis/reply-errors.js';
import { Connection } from '../../src/redis/connection/connection.js';
import { replyOk } from '../../src/redis/reply-parser.js';
import { uniqueKey, useRedis } from '../support/redis.js';

const { connect } = useRedis();

it('a closing connection waits for its replies, and reports later commands as not sent', async () => {
  const redis = connect();
  const key = uniqueKey();
  const link = await Connection.open(
    { db: 0, create: (overrides) => redis.duplicate({ ...overrides, lazyConnect: true }) },
    {
      clock: systemClock,
      name: 'test',
      warnOfTraces: createTraceWarning(),
      replyTimeoutMs: () => 5_000,
    },
    new AbortController().signal,
  );
  const before = link.call((client) => client.set(key, 'before'), replyOk);
  const closings = [link.close(5_000), link.close(5_000)];
  const after = link.call((client) => client.set(key, 'after'), replyOk);
  await expect(after).rejects.toBeInstanceOf(ConnectionLostError);
  await expect(after).rejects.toMatchObject({ sent: false });
  expect(await before).toBe(true);
  await Promise.all(closings);
  expect(link.client.status).toBe('end');
  expect(await redis.getdel(key)).toBe('before');
});
