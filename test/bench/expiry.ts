import { setTimeout as delay } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import { connect, disconnect } from '../support/redis-clients.js';
import type { Bench, BenchContext, Finding } from './bench.js';
import { type ClockOffset, clockOffset } from './server-clock.js';
import { median, percentile } from './statistics.js';
import { type Worker, Workers } from './worker.js';
import type { EventListenerCalls } from './workers/event-listener.js';
import type { ExpiryWatcherCalls } from './workers/expiry-watcher.js';
import { now } from './workers/instants.js';

const CREDENTIALS = 500;
const OTHER_KEYS = 100_000;
/** From writing to the first end, and from one end to the next. */
const LEAD_MS = 2_000;
const APART_MS = 5;
/** How long after the last end whatever has not come counts as missing. */
const GRACE_MS = 1_000;
const SLACK_MS = 5;

/** What came of one round, in milliseconds past the server's deadline. */
interface Round {
  readonly expired: readonly number[];
  readonly early: number;
  /** The answers to plain reads that plain timers make at the same instants. */
  readonly timers: readonly number[];
  /** Of the plain events; for those that had not come at the end, how long they were overdue. */
  readonly events: readonly number[];
  readonly missing: number;
  readonly eventsMissing: number;
  readonly uncertainty: number;
  readonly read: number;
}

const keyOf = (nth: number): string => `bench:expiry:${nth}`;
/**
 * Has the same end, but is neither watched nor written again: Redis would find out at once that it is over, and send the
 * event then.
 */
const peerOf = (nth: number, round: number): string => `bench:peer:${round}:${nth}`;
const nths = Array.from({ length: CREDENTIALS }, (_, nth) => nth);

async function fill(redis: Redis): Promise<void> {
  for (let from = 0; from < OTHER_KEYS; from += 10_000) {
    const batch = redis.pipeline();
    for (let nth = from; nth < from + 10_000; nth += 1) {
      batch.set(`bench:other:${nth}`, 'x', 'PX', 3_600_000 + nth);
    }
    await batch.exec();
  }
}

/** Gives all of them, and their peers, ends that are staggered; returns these by the server's clock. */
async function write(redis: Redis, { low }: ClockOffset, round: number): Promise<number[]> {
  const first = Math.ceil((now() + low) / 1_000) + LEAD_MS;
  const ends = nths.map((nth) => first + nth * APART_MS);
  const batch = redis.pipeline();
  for (const [nth, end] of ends.entries()) {
    batch.set(keyOf(nth), JSON.stringify({ nth, first }), 'PXAT', end);
    batch.set(peerOf(nth, round), 'x', 'PXAT', end);
  }
  await batch.exec();
  return ends;
}

async function runRound(
  round: number,
  redis: Redis,
  watcher: Worker<ExpiryWatcherCalls>,
  listener: Worker<EventListenerCalls>,
): Promise<Round> {
  const reads = await watcher.call('reads', 100);
  const { low, high } = await clockOffset(redis);
  const ends = await write(redis, { low, high }, round);
  await listener.call(
    'readAt',
    ends.map((end) => end * 1_000 - low),
  );
  await watcher.call('saved');
  const lastEnd = ends.at(-1)! * 1_000 - high;
  await delay((lastEnd - now()) / 1_000 + GRACE_MS);
  const seen = await watcher.call('take');
  const timers = await listener.call('takeReads');
  const heard = await listener.call(
    'take',
    nths.map((nth) => peerOf(nth, round)),
  );
  const closedAt = now();
  const lateness = (at: number, nth: number): number =>
    (at + (low + high) / 2) / 1_000 - ends[nth]!;
  const counted = seen.filter((at) => at !== null);
  return {
    expired: seen.flatMap((at, nth) => (at === null ? [] : [lateness(at, nth)])),
    // By the latest that the server's clock can have shown, so early without any doubt.
    early: seen.filter((at, nth) => at !== null && (at + high) / 1_000 < ends[nth]!).length,
    timers: timers.map(lateness),
    events: heard.map((at, nth) => lateness(at ?? closedAt, nth)),
    missing: CREDENTIALS - counted.length,
    eventsMissing: heard.filter((at) => at === null).length,
    uncertainty: (high - low) / 2_000,
    read: median(reads) / 1_000,
  };
}

function findings(rounds: readonly Round[]): readonly Finding[] {
  const sum = (of: (round: Round) => number): number =>
    rounds.reduce((total, one) => total + of(one), 0);
  const read = median(rounds.map((one) => one.read));
  const late = (share: number, of: (round: Round) => readonly number[]): number =>
    median(rounds.map((one) => percentile(of(one), share)));
  const expired = (share: number): Pick<Finding, 'value' | 'floor' | 'unit'> => ({
    value: late(share, (one) => one.expired),
    floor: late(share, (one) => one.timers),
    unit: 'ms',
  });
  const of = `of ${rounds.length * CREDENTIALS}`;
  return [
    { what: '`expired` past the deadline, p50', ...expired(0.5) },
    {
      what: '`expired` past the deadline, p99',
      ...expired(0.99),
      goal: { of: 'value', most: SLACK_MS + read, because: `${SLACK_MS} ms and one read` },
    },
    {
      what: '`expired` past the deadline, longest of all',
      value: Math.max(...rounds.flatMap(({ expired }) => expired)),
      floor: Math.max(...rounds.flatMap(({ timers }) => timers)),
      unit: 'ms',
    },
    {
      what: `\`expired\` not seen a second after the last deadline, ${of}`,
      value: sum((one) => one.missing),
      unit: 'count',
      goal: { of: 'value', most: 0 },
    },
    {
      what: `\`expired\` before the deadline, ${of}`,
      value: sum((one) => one.early),
      unit: 'count',
      goal: { of: 'value', most: 0 },
    },
    {
      what: 'the same, of plain `expired` events',
      value: sum((one) => one.eventsMissing),
      unit: 'count',
    },
    {
      what: 'a plain `expired` event past the deadline, p50 (at least)',
      value: late(0.5, (one) => one.events),
      unit: 'ms',
    },
    { what: 'one read', value: read, unit: 'ms' },
    {
      what: "how exactly the server's clock is known",
      value: median(rounds.map((one) => one.uncertainty)),
      unit: 'ms',
    },
  ];
}

async function run({
  library,
  quick,
  startRedis,
  progress,
}: BenchContext): Promise<readonly Finding[]> {
  await using server = await startRedis();
  const { url } = server;
  await using workers = new Workers(library);
  const watcher: Worker<ExpiryWatcherCalls> = await workers.start('expiry-watcher');
  const listener: Worker<EventListenerCalls> = await workers.start('event-listener');
  const redis = connect(url);
  try {
    await fill(redis);
    await watcher.call('open', { url, keys: nths.map(keyOf) });
    await listener.call('open', { url, prefix: 'bench:peer:' });
    const count = quick ? 2 : 9;
    const rounds: Round[] = [];
    while (rounds.length < count) {
      rounds.push(await runRound(rounds.length, redis, watcher, listener));
      progress(`expiry: ${rounds.length} of ${count} rounds`);
    }
    return findings(rounds);
  } finally {
    await disconnect(redis);
  }
}

export const expiry: Bench = {
  name: 'expiry',
  question: `How late is an expiry told, beside ${OTHER_KEYS.toLocaleString('en-US')} other keys with a TTL?`,
  run,
};
