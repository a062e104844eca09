import { type ClusterServer, startRedisCluster } from '../support/redis-cluster/index.js';
import { type Bench, type BenchContext, type Finding, NOTIFICATIONS } from './bench.js';
import { countConnections } from './connections.js';
import { commandsPerSave, delays, type Stage, startStage } from './save-to-observed.js';
import { median, percentile } from './statistics.js';
import { Workers } from './worker.js';

const MASTERS = 3;
const BURST = 150;
const COUNTED = 450;

const PLACE = {
  key: 'bench:token',
  channel: 'bench:floor',
  keyByHand: 'bench:by-hand',
  channelByHand: 'bench:by-hand',
};

/** The same stores on one Redis and in a cluster, in turns, so that they meet the same noise. */
async function latency(
  one: Stage,
  many: Stage,
  { quick, progress }: BenchContext,
): Promise<readonly Finding[]> {
  const runs = quick ? 5 : 11;
  const took = new Map<Stage, number[][]>([
    [one, []],
    [many, []],
  ]);
  for (let run = 0; run < runs; run += 1) {
    for (const stage of run % 2 === 0 ? [one, many] : [many, one])
      took.get(stage)!.push(await delays(stage, 'save', BURST));
  }
  progress(`cluster: ${runs} runs`);
  const beside = (share: number): Omit<Finding, 'what'> => {
    const of = (stage: Stage): number[] => took.get(stage)!.map((run) => percentile(run, share));
    const floors = of(one);
    return {
      value: median(of(many)),
      unit: 'µs',
      floor: median(floors),
      ratio: median(of(many).map((value, run) => value / floors[run]!)),
    };
  };
  const what = `save to observed in a cluster of ${MASTERS} masters, beside one Redis`;
  return [
    { what: `${what}, p50`, ...beside(0.5) },
    { what: `${what}, p90`, ...beside(0.9) },
    { what: `${what}, p99`, ...beside(0.99) },
  ];
}

/** What all masters ran, per save. */
async function commands(
  stage: Stage,
  masters: readonly ClusterServer[],
): Promise<{ readonly writes: number; readonly reads: number }> {
  const counted: Awaited<ReturnType<typeof commandsPerSave>>[] = [];
  let work = (): Promise<unknown> => delays(stage, 'save', COUNTED);
  for (const { process } of masters) {
    const inner = work;
    work = async () => counted.push(await commandsPerSave(process.url, COUNTED, inner));
  }
  await work();
  const sum = (of: 'writes' | 'reads'): number =>
    counted.reduce((before, one) => before + one[of], 0);
  return { writes: sum('writes'), reads: sum('reads') };
}

async function run(context: BenchContext): Promise<readonly Finding[]> {
  await using server = await context.startRedis();
  await using cluster = await startRedisCluster({
    masters: MASTERS,
    replicasPerMaster: 0,
    config: NOTIFICATIONS,
  });
  const masters = cluster.servers;
  await using workers = new Workers(context.library);
  const [one, many] = await Promise.all([
    startStage(workers, { ...PLACE, url: server.url }),
    startStage(workers, {
      ...PLACE,
      url: masters[0]!.process.url,
      cluster: masters.map(({ host, port }) => ({ host, port })),
    }),
  ]);
  for (const stage of [one, many]) await delays(stage, 'save', COUNTED);
  const findings = await latency(one, many, context);
  const { writes, reads } = await commands(many, masters);
  const connections = await Promise.all(masters.map(({ process }) => countConnections(process)));
  const total = connections.reduce((before, count) => before + count, 0);
  const count = (what: string, value: number, most: number): Finding => ({
    what: `${what}, cluster`,
    value,
    unit: 'count',
    goal: { of: 'value', most },
  });
  return [
    ...findings,
    count('write round trips per save', writes, 1),
    count('reads per instance and change, one observer', reads, 1.2),
    // Of the observer two for its master and one for each other; of the saver, which watches nothing, one for each.
    count('connections of an observer and a saver of one key', total, 2 * MASTERS + 1),
  ];
}

export const cluster: Bench = {
  name: 'cluster',
  question: 'What does a cluster cost beside one Redis?',
  run,
};
