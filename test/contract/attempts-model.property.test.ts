import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { AttemptRecord, EndAttempt } from '../../src/backend/attempts.js';
import { CLEARED_MS } from '../../src/backend/attempts.js';
import { startRedis } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import {
  forgetStarts,
  hearAnnouncements,
  type AttemptWorld,
  type ReceivedAnnouncement,
  memoryWorld,
  redisWorld,
  speaker,
} from './attempts-world.js';

/** Over by the next verb, or not before the end of the test: where in between does not matter to the rules. */
const SHORT_MS = 1;
const LONG_MS = 600_000;
const STRIDE_MS = 3;
const END = 2e12;

/** Says something to one of the worlds; what it answers must be the same in both. */
interface Verb {
  readonly say: (world: AttemptWorld) => Promise<unknown>;
  readonly toString: () => string;
}

const instance = fc.nat({ max: 1 });
const id = fc.constantFrom('a', 'a', 'b', 'c');
const ms = fc.constantFrom(SHORT_MS, SHORT_MS, LONG_MS);
const bytes = fc.constantFrom('x', 'y', '');
const endsAt = fc.constantFrom(undefined, END, END + 1_000, END + 2_000.5);
const outcome = fc.constantFrom<EndAttempt['outcome'][]>(
  'unchanged',
  'needless',
  'failed',
  'fatal',
  'fatal',
  'unanswered',
  'discarded',
);
const garbage = fc.constantFrom('', 'null', '[1]', '{"id":"a"}', 'x');

const verb = <A>(
  name: string,
  args: fc.Arbitrary<A>,
  say: (world: AttemptWorld, args: A) => Promise<unknown>,
): { readonly of: (given: A) => Verb; readonly any: fc.Arbitrary<Verb> } => {
  const of = (given: A): Verb => ({
    say: (world) => say(world, given),
    toString: () => `${name}(${JSON.stringify(given)})`,
  });
  return { of, any: args.map(of) };
};

const start = verb(
  'start',
  fc.record({
    instance,
    id,
    leaseMs: ms,
    minIntervalMs: ms,
    endsAt,
    clearedBefore: fc.constantFrom(undefined, undefined, 1e12, Infinity),
  }),
  (world, { instance: which, id: name, ...more }) => speaker(world, which).start(name, more),
);
const renew = verb('renew', fc.tuple(instance, id, ms), (world, [which, name, leaseMs]) =>
  speaker(world, which).renew(name, leaseMs),
);
const commit = verb(
  'commit',
  fc.record({
    instance,
    id,
    bytes,
    // Mostly what is there, or else there would be nothing but conflicts.
    expected: fc.constantFrom('stored', 'stored', 'z', undefined),
    agoMs: fc.constantFrom(0, 0, 0, CLEARED_MS),
    pauseMs: ms,
    failures: fc.nat({ max: 3 }),
  }),
  async (world, { instance: which, id: name, bytes: text, expected, agoMs, ...more }) => {
    const held = (await world.outside.get(world.key)) ?? 'x';
    const now = await world.now();
    return speaker(world, which).commit(name, text, expected === 'stored' ? held : expected, {
      ...more,
      startedAt: now - agoMs,
    });
  },
);
const end = verb(
  'end',
  fc.record({ instance, id, outcome, pauseMs: ms, endsAt, failures: fc.nat({ max: 3 }) }),
  (world, { instance: which, id: name, outcome: how, ...more }) =>
    speaker(world, which).end(name, how, more),
);
const settle = verb('settle', fc.tuple(instance, id), (world, [which, name]) =>
  speaker(world, which).settle(name),
);
const set = verb('set', bytes, (world, text) => world.outside.set(world.key, text));
const outside = [
  set,
  verb('delete', fc.constant(null), (world) => world.outside.delete(world.key)),
  verb('clear', fc.constant(null), (world) => world.stores[2]!.clear().then(() => undefined)),
  verb('flush', fc.constant(null), (world) => world.outside.flush()),
  verb('lose the record', fc.constant(null), (world) => world.outside.delete(world.recordKey)),
  verb('spoil the record', garbage, (world, text) => world.outside.set(world.recordKey, text)),
];
const verbs = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: start.any },
    { weight: 2, arbitrary: renew.any },
    { weight: 5, arbitrary: commit.any },
    { weight: 4, arbitrary: end.any },
    { weight: 1, arbitrary: settle.any },
    ...outside.map(({ any }) => ({ weight: 1, arbitrary: any })),
  ),
  { minLength: 5, maxLength: 25 },
);

const first = {
  instance: 0,
  id: 'a',
  leaseMs: LONG_MS,
  minIntervalMs: SHORT_MS,
  endsAt: END,
} as const;
/** Chance seldom finds the way to a fatal attempt and to a conflict. */
const fatal = [
  set.of('x'),
  start.of({ ...first, clearedBefore: undefined }),
  end.of({ ...first, outcome: 'fatal', pauseMs: SHORT_MS, failures: 1 }),
  start.of({ ...first, id: 'b', clearedBefore: undefined }),
];

const conflict = [
  set.of('x'),
  start.of({ ...first, clearedBefore: undefined }),
  commit.of({ ...first, bytes: 'y', expected: 'z', agoMs: 0, pauseMs: SHORT_MS, failures: 0 }),
];

/** What is the same in both worlds: neither names of instances nor instants. */
function essence(world: AttemptWorld, answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null) return answer;
  const { record, leftMs, ...rest } = answer as {
    readonly record?: AttemptRecord;
    readonly leftMs?: number;
  };
  return {
    ...rest,
    left: leftMs === undefined ? undefined : leftMs > LONG_MS / 2,
    record: record && recordEssence(world, record),
  };
}

function recordEssence(world: AttemptWorld, record: AttemptRecord): unknown {
  const { startedAt, changedAt, leaseEndsAt, notBefore, instance: name, ...rest } = record;
  const far = (instant: number): boolean => instant > startedAt + LONG_MS / 2;
  const instances = [0, 1].map((which) => speaker(world, which).instance);
  return JSON.parse(
    JSON.stringify({
      ...rest,
      instance: instances.indexOf(name),
      lease: leaseEndsAt === 0 ? 'none' : far(leaseEndsAt),
      changed: changedAt !== undefined && changedAt >= startedAt,
      pause: notBefore === 0 ? 'none' : far(notBefore),
    }),
  ) as unknown;
}

function announcements(world: AttemptWorld, received: readonly ReceivedAnnouncement[]) {
  const instances = [0, 1].map((which) => speaker(world, which).instance);
  return received.map(({ kind, by }) => ({
    kind,
    by: by === undefined ? by : instances.indexOf(by),
  }));
}

async function kept(world: AttemptWorld): Promise<unknown> {
  const text = await world.outside.get(world.recordKey);
  const value = await world.outside.get(world.key);
  if (text?.startsWith('{"') !== true || text === '{"id":"a"}') return { text, value };
  return { value, record: recordEssence(world, JSON.parse(text) as AttemptRecord) };
}

describe('attempts in Redis and in memory', () => {
  let server: RedisServer;
  let redis: AttemptWorld;
  let redisEar: Awaited<ReturnType<typeof hearAnnouncements>>;

  beforeAll(async () => {
    server = await startRedis();
    redis = await redisWorld(server);
    redisEar = await hearAnnouncements(redis);
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  it('give the same answers, keep the same records and announce the same, for any sequence of verbs', async () => {
    const seen = new Map<string, number>();
    const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);
    await fc.assert(
      fc.asyncProperty(verbs, async (said) => {
        const memory = await memoryWorld();
        const memoryEar = await hearAnnouncements(memory);
        await redis.outside.flush();
        forgetStarts(redis);
        await redisEar.take();
        for (const one of said) {
          const [expected, actual] = await Promise.all(
            [memory, redis].map(async (world) => essence(world, await one.say(world))),
          );
          expect(actual).toEqual(expected);
          const [before, after] = await Promise.all([memory, redis].map(kept));
          expect(after).toEqual(before);
          await Promise.all([memory, redis].map((world) => world.advance(STRIDE_MS)));
          const announced = announcements(memory, await memoryEar.take());
          expect(announcements(redis, await redisEar.take())).toEqual(announced);
          for (const { kind } of announced) count(`announced ${kind}`);
          const type =
            typeof actual === 'string' ? actual : (actual as { type?: string } | undefined)?.type;
          if (type !== undefined) count(type);
        }
        await memory.close();
      }),
      { numRuns: 60, examples: [[fatal], [conflict]] },
    );
    // Proves nothing about an answer that never came.
    const answers = 'started held early fatal cleared superseded ended committed conflict';
    const all = [...answers.split(' '), 'announced saved', 'announced attempt'];
    expect([...seen.keys()].sort()).toEqual(all.sort());
  }, 300_000);
});
