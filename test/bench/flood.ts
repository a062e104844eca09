import { setTimeout as delay } from 'node:timers/promises';

import { connect, disconnect } from '../support/redis-clients.js';
import type { Bench, BenchContext, Finding } from './bench.js';
import { median, percentile } from './statistics.js';
import { Workers } from './worker.js';
import type { FloodedCalls } from './workers/flooded.js';
import type { ForgerCalls } from './workers/forger.js';
import { now } from './workers/instants.js';

const KEYS = Array.from({ length: 10 }, (_, nth) => `bench:flood:${String(nth)}`);
const PER_SECOND = 80_000;
const CHANGES_PER_SECOND = 20;
/** As an instance would announce a save. */
const FORGED = JSON.stringify({
  v: 1,
  kind: 'saved',
  instance: 'forged-instance-0000',
  name: 'host:1',
  at: 1_900_000_000_000,
});

/** By stores, or by hand. */
type How = 'watch' | 'subscribe';

interface Measured {
  readonly cpuMs: number;
  readonly delays: readonly number[];
  readonly unseen: number;
  readonly perSecond: number;
  readonly readsPerSecond: number;
}

async function measure(
  { library, startRedis }: BenchContext,
  how: How,
  forged: { readonly channels: readonly string[]; readonly text: string },
  seconds: number,
): Promise<Measured> {
  await using server = await startRedis();
  await using workers = new Workers(library);
  const { url, port } = server;
  const [observer, forger] = await Promise.all([
    workers.start<FloodedCalls>('flooded'),
    workers.start<ForgerCalls>('forger'),
  ]);
  const redis = connect(url);
  try {
    for (const key of KEYS) await redis.set(key, '{"number":-1}');
    await observer.call(how, { url, keys: KEYS });
    await forger.call('start', { port, ...forged, perSecond: PER_SECOND });
    await delay(2_000);
    await redis.config('RESETSTAT');
    await observer.call('begin');
    const writtenAt: number[] = [];
    const count = seconds * CHANGES_PER_SECOND;
    for (let number = 0; number < count; number += 1) {
      writtenAt.push(now());
      await Promise.all([
        redis.set(KEYS[number % KEYS.length]!, JSON.stringify({ number })),
        delay(1_000 / CHANGES_PER_SECOND),
      ]);
    }
    const { cpuMs, knownAt } = await observer.call('end');
    const stats = await redis.info('commandstats');
    const perSecond = await forger.call('stop');
    const reads = [...stats.matchAll(/^cmdstat_(?:eval\w*|get):calls=(\d+)/gm)];
    return {
      cpuMs,
      delays: knownAt.flatMap(([number, at]) =>
        number < 0 ? [] : [(at - writtenAt[number]!) / 1_000],
      ),
      unseen: count - knownAt.filter(([number]) => number >= 0).length,
      perSecond,
      readsPerSecond: reads.reduce((sum, [, calls]) => sum + Number(calls), 0) / seconds,
    };
  } finally {
    await disconnect(redis);
  }
}

async function flooded(
  context: BenchContext,
  channels: string,
  forged: { readonly channels: readonly string[]; readonly text: string },
): Promise<readonly Finding[]> {
  const [runs, seconds] = context.quick ? [2, 4] : [7, 8];
  const all: Record<How, Measured[]> = { watch: [], subscribe: [] };
  for (let run = 0; run < runs; run += 1) {
    for (const how of run % 2 === 0
      ? (['watch', 'subscribe'] as const)
      : (['subscribe', 'watch'] as const))
      all[how].push(await measure(context, how, forged, seconds));
    context.progress(`flood of ${channels}: ${String(run + 1)} of ${String(runs)} runs`);
  }
  const of = (how: How, figure: (one: Measured) => number): number => median(all[how].map(figure));
  const what = `flood of ${channels}`;
  const beside = (figure: (one: Measured) => number): Pick<Finding, 'value' | 'floor'> => ({
    value: of('watch', figure),
    floor: of('subscribe', figure),
  });
  return [
    {
      what: `${what}, messages a second`,
      ...beside((one) => Math.round(one.perSecond)),
      unit: 'count',
    },
    { what: `${what}, the observer's CPU in a second`, ...beside((one) => one.cpuMs), unit: 'ms' },
    {
      what: `${what}, change to seen, p50`,
      ...beside((one) => percentile(one.delays, 0.5)),
      unit: 'ms',
    },
    {
      what: `${what}, change to seen, p99`,
      ...beside((one) => percentile(one.delays, 0.99)),
      unit: 'ms',
    },
    {
      what: `${what}, reads a second`,
      ...beside((one) => Math.round(one.readsPerSecond)),
      unit: 'count',
    },
    {
      what: `${what}, changes overtaken or not seen yet, of ${String(seconds * CHANGES_PER_SECOND)}`,
      ...beside((one) => one.unseen),
      unit: 'count',
    },
  ];
}

async function run(context: BenchContext): Promise<readonly Finding[]> {
  return [
    ...(await flooded(context, 'announcements', {
      channels: KEYS.map((key) => `credstream:0:${key}`),
      text: FORGED,
    })),
    ...(await flooded(context, 'notifications', {
      channels: KEYS.map((key) => `__keyspace@0__:${key}`),
      text: 'set',
    })),
  ];
}

export const flood: Bench = {
  name: 'flood',
  question: 'What do 80,000 small forged messages a second cost a process that watches 10 keys?',
  run,
};
