import { expect, it } from 'vitest';

import { READ_MANY_BY_PTTL, READ_BY_PTTL } from '../../src/redis/commands/scripts.js';
import { uniquePrefix, useRedis } from '../support/redis.js';

const { connect } = useRedis();

it('a read by PTTL gives the end of each key, however long a script takes', async () => {
  const redis = connect();
  const prefix = uniquePrefix();
  const keys = Array.from({ length: 5_000 }, (_, index) => `${prefix}${String(index)}`);
  const writing = redis.pipeline();
  const ends = keys.map((_, index) => Date.now() + 600_000 + index);
  for (const [index, key] of keys.entries())
    writing.set(key, 'x'.repeat(2_000), 'PXAT', ends[index]!);
  await writing.exec();
  const limits = ['5000', String(2 ** 30), '1'];
  const many = (await redis.eval(
    READ_MANY_BY_PTTL.text,
    keys.length,
    ...keys,
    ...limits,
  )) as unknown[];
  const told = keys.map((_, index) => Number(many[index * 4 + 5]));
  const wobble = ends.map((end, index) => Math.abs(end - (told[index] ?? 0)));
  expect(Math.max(...wobble)).toBeLessThanOrEqual(1);
  const one = (await redis.eval(READ_BY_PTTL.text, 1, keys[0]!, '5000', '1')) as unknown[];
  expect(Math.abs(Number(one[4]) - ends[0]!)).toBeLessThanOrEqual(1);
  await redis.del(...keys);
});
