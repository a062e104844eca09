import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { MAX_RECORD_BYTES } from '../../src/backend/attempt-record.js';
import { type AttemptRecord, LONGEST_PAUSE_MS } from '../../src/backend/attempts.js';
import { startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { type AttemptWorld, memoryWorld, redisWorld, speaker } from './attempts-world.js';

const FOREIGN = 'FOREIGN';

/** A record as an attempt may have left it a moment ago. */
const good = {
  id: 'x',
  instance: '01234567-89ab-4cde-8f01-23456789abcd',
  number: 3,
  startedAt: 1_000,
  leaseEndsAt: 0,
  outcome: 'running',
  failures: 1,
  notBefore: 0,
};

const text = fc.constantFrom(FOREIGN, `${FOREIGN}\n\u0000`, FOREIGN.repeat(50), '', 'a', '9e99');
const number = fc.oneof(
  fc.constantFrom(0, -1, 1.5, 1e9, 1e9 + 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e300, 9e12),
  fc.integer(),
);
const outcome = fc.constantFrom('running', 'fatal', 'failed', 'committed', FOREIGN);
const foreign = fc.oneof(
  number,
  text,
  outcome,
  fc.constantFrom<unknown[]>(null, true, [], {}, [FOREIGN], { toString: 1 }),
);
const fields = [
  ...Object.keys(good),
  ...['inDoubt', 'startedFromNothing', 'committed', 'endsAt', 'oauthError', 'more'],
];
const spoiled = fc
  .tuple(
    fc.dictionary(fc.constantFrom(...fields), foreign, { maxKeys: 3 }),
    fc.record({ leaseEndsAt: number, notBefore: number }, { requiredKeys: [] }),
  )
  .map(([some, instants]) => Buffer.from(JSON.stringify({ ...good, ...instants, ...some })));
const anything = fc.oneof(
  fc.json().map((one) => Buffer.from(one)),
  fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one)),
  fc.constant(Buffer.alloc(MAX_RECORD_BYTES + 1, '[')),
  fc.constant(Buffer.from(JSON.stringify(good).padEnd(MAX_RECORD_BYTES + 1))),
);
const hostile = fc.oneof({ weight: 5, arbitrary: spoiled }, { weight: 2, arbitrary: anything });
const verb = fc.constantFrom('start', 'renew', 'commit', 'end', 'settle');

function expectHarmless(record: AttemptRecord, now: number): void {
  const { id: _, committed: __, ...shown } = record;
  expect(JSON.stringify(shown)).not.toContain(FOREIGN);
  expect(record.leaseEndsAt).toBeLessThanOrEqual(now + LONGEST_PAUSE_MS);
  expect(record.notBefore).toBeLessThanOrEqual(now + LONGEST_PAUSE_MS);
}

/** Says a verb where the record is hostile, then starts an attempt; gives what must be the same everywhere. */
async function expectHarmlessVerb(
  world: AttemptWorld,
  record: Buffer,
  what: string,
): Promise<unknown> {
  const [one, two] = [speaker(world, 0), speaker(world, 1)];
  await world.outside.set(world.key, 'old');
  await world.outside.set(world.recordKey, record);
  const first = await {
    start: () => one.start('a').then(({ type }) => type),
    renew: () => one.renew('a'),
    commit: () => one.commit('a', 'new', 'old'),
    end: () => one.end('a', 'failed'),
    settle: () => one.settle('x'),
  }[what]!();
  const next = await two.start('b');
  const now = await world.now();
  if (next.type !== 'cleared') expectHarmless(next.record, now);
  if (next.type !== 'cleared' && next.type !== 'started')
    expect(next.leftMs).toBeLessThanOrEqual(LONGEST_PAUSE_MS);
  // The lease or pause that was refused for is the one that is stored: it ends.
  const kept = JSON.parse((await world.outside.get(world.recordKey))!) as AttemptRecord;
  if (next.type === 'held' || next.type === 'early') expectHarmless(kept, now);
  return { first, next: next.type };
}

describe('a hostile record', () => {
  let server: RedisServer;
  let redis: AttemptWorld;

  beforeAll(async () => {
    server = await startRedis();
    redis = await redisWorld(server);
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  it('stops nothing, shows no foreign text, and holds no lease longer than options allow', async () => {
    const memory = await memoryWorld();
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(hostile, verb, async (record, what) => {
        const [expected, actual] = await Promise.all(
          [memory, redis].map((world) => expectHarmlessVerb(world, record, what)),
        );
        expect(actual).toEqual(expected);
        seen.add((actual as { next: string }).next);
      }),
      {
        numRuns: 200,
        examples: [
          [Buffer.from(JSON.stringify({ ...good, leaseEndsAt: 2 ** 53 - 1 })), 'end'],
          [Buffer.from(JSON.stringify({ ...good, notBefore: 2 ** 53 - 1 })), 'renew'],
          [Buffer.from(JSON.stringify({ ...good, outcome: 'fatal' })), 'start'],
        ],
      },
    );
    await memory.close();
    // Proves nothing about an answer that never came.
    expect([...seen].sort()).toEqual(['early', 'fatal', 'held', 'started']);
  }, 300_000);
});
