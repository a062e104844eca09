import { countCommands } from '../support/command-counter.js';
import { connect, disconnect } from '../support/redis-clients.js';
import type { Bench, BenchContext, Finding } from './bench.js';
import { median, percentile } from './statistics.js';
import { type Worker, Workers } from './worker.js';
import type { ObserverCalls } from './workers/observer.js';
import type { Place } from './workers/open-store.js';
import type { Burst, SaverCalls } from './workers/saver.js';

const PER_SECOND = 300;

/** By the store, by a bare message, or by a message and a read. */
type How = 'save' | 'publish' | 'byHand';

/** The processes on both sides of one server, or of one cluster. */
export interface Stage {
  readonly saver: Worker<SaverCalls>;
  readonly observers: Worker<ObserverCalls>[];
  /** Numbers never come twice, so that nothing old is taken for something new. */
  next: number;
}

/** Who saves, and one who watches. */
export async function startStage(workers: Workers, place: Place): Promise<Stage> {
  const saver = await workers.start<SaverCalls>('saver');
  await saver.call('open', place);
  return { saver, observers: [await startObserver(workers, place)], next: 0 };
}

async function startObserver(workers: Workers, place: Place): Promise<Worker<ObserverCalls>> {
  const observer = await workers.start<ObserverCalls>('observer');
  await observer.call('open', place);
  return observer;
}

/** How long each of a burst took to reach the first observer, in microseconds. */
export async function delays(stage: Stage, how: How, count: number): Promise<number[]> {
  const burst: Burst = { first: stage.next, count, perSecond: PER_SECOND };
  stage.next += count;
  const sentAt = await stage.saver.call(how, burst);
  const [arrivedAt = []] = await Promise.all(
    stage.observers.map((observer) => observer.call('take', burst)),
  );
  return arrivedAt.flatMap((at, nth) => (at === null ? [] : [at - sentAt[nth]!]));
}

/** All three in turns, so that they meet the same noise. */
async function latency(
  stage: Stage,
  { quick, progress }: BenchContext,
): Promise<readonly Finding[]> {
  const [runs, count] = quick ? [7, 150] : [21, 150];
  const took: Record<How, number[][]> = { save: [], publish: [], byHand: [] };
  const ways: readonly How[] = ['save', 'publish', 'byHand'];
  for (let run = 0; run < runs; run += 1) {
    for (const how of run % 2 === 0 ? ways : ways.toReversed()) {
      took[how].push(await delays(stage, how, count));
    }
    progress(`save to observed: ${run + 1} of ${runs} runs`);
  }
  const beside = (share: number, how: How): Omit<Finding, 'what'> => {
    const ours = took.save.map((run) => percentile(run, share));
    const floors = took[how].map((run) => percentile(run, share));
    return {
      value: median(ours),
      unit: 'µs',
      floor: median(floors),
      ratio: median(ours.map((value, run) => value / floors[run]!)),
    };
  };
  const what = 'save to observed in another process';
  return [
    {
      what: `${what}, p50`,
      ...beside(0.5, 'publish'),
      goal: { of: 'ratio', most: 1.8 },
    },
    { what: `${what}, p90`, ...beside(0.9, 'publish') },
    { what: `${what}, p99`, ...beside(0.99, 'publish') },
    { what: `${what}, p50, beside a message and a GET by hand`, ...beside(0.5, 'byHand') },
    {
      what: `saves overtaken by the next one before they were seen, of ${runs * count}`,
      value: runs * count - took.save.flat().length,
      unit: 'count',
    },
  ];
}

/** What a server ran while `work` saved `count` times and all was seen, per save. */
export async function commandsPerSave(
  url: string,
  count: number,
  work: () => Promise<unknown>,
): Promise<{ readonly writes: number; readonly reads: number }> {
  const redis = connect(url);
  try {
    const counted = await countCommands(redis, work);
    const calls = (name: string): number => counted.get(name) ?? 0;
    const inTransactions = calls('exec');
    // A transaction has the end of an earlier clear, the write and its announcement, which share a round trip; anything beside it has one of its own.
    const alone = calls('set') + calls('publish') - 3 * inTransactions;
    const reads = calls('evalsha_ro') + calls('eval_ro') + calls('evalsha') + calls('eval');
    return { writes: (inTransactions + alone) / count, reads: reads / count };
  } finally {
    await disconnect(redis);
  }
}

async function run(context: BenchContext): Promise<readonly Finding[]> {
  const count = context.quick ? 300 : 1_500;
  await using server = await context.startRedis();
  const { url } = server;
  const place = {
    url,
    key: 'bench:token',
    channel: 'bench:floor',
    keyByHand: 'bench:by-hand',
    channelByHand: 'bench:by-hand',
  };
  await using workers = new Workers(context.library);
  const stage = await startStage(workers, place);
  const commands = (): ReturnType<typeof commandsPerSave> =>
    commandsPerSave(url, count, () => delays(stage, 'save', count));
  for (const how of ['save', 'publish', 'byHand'] as const) await delays(stage, how, count);
  const findings = await latency(stage, context);
  const alone = await commands();
  await stage.saver.call('watch');
  const both = await commands();
  for (let more = 0; more < 3; more += 1) stage.observers.push(await startObserver(workers, place));
  const five = await commands();
  const reads = (where: string, value: number): Finding => ({
    what: `reads per instance and change, ${where}`,
    value,
    unit: 'count',
    goal: { of: 'value', most: 1.2 },
  });
  return [
    ...findings,
    {
      what: 'write round trips per save',
      value: median([alone.writes, both.writes, five.writes]),
      unit: 'count',
      goal: { of: 'value', most: 1 },
    },
    reads('one observer', alone.reads),
    reads('one observer and a saver that watches', both.reads / 2),
    reads('four observers and a saver that watches', five.reads / 5),
  ];
}

export const saveToObserved: Bench = {
  name: 'save',
  question: 'How long until a save is seen elsewhere, and what does it cost the server?',
  run,
};
