import type { Bench, BenchContext, Finding } from './bench.js';
import { median } from './statistics.js';
import { Workers } from './worker.js';
import type { HolderCalls } from './workers/holder.js';

const GOAL_BYTES = 1_228;

async function run({ library, quick, startRedis, progress }: BenchContext): Promise<Finding[]> {
  const count = quick ? 3_000 : 10_000;
  await using server = await startRedis();
  const measured = { values: [], map: [], redis: [], memory: [] } as Record<string, number[]>;
  for (let run = 0; run < (quick ? 1 : 3); run += 1) {
    await using workers = new Workers(library);
    // A process for each: what one leaves behind would be counted for the next.
    const holder = () => workers.start<HolderCalls>('holder', ['--expose-gc']);
    const values = await (await holder()).call('values', count);
    const above = (bytes: number): number => bytes - values;
    measured['values']?.push(values);
    measured['map']?.push(above(await (await holder()).call('map', count)));
    measured['redis']?.push(
      above(await (await holder()).call('redis', { url: server.url, count })),
    );
    measured['memory']?.push(above(await (await holder()).call('memory', count)));
    progress(`heap: run ${run + 1}`);
  }
  const of = (what: string): number => Math.round(median(measured[what] ?? []));
  return [
    {
      what: 'heap per watched credential beyond its value, in Redis',
      value: of('redis'),
      unit: 'bytes',
      floor: of('map'),
      goal: { of: 'value', most: GOAL_BYTES },
    },
    {
      what: 'heap per watched credential beyond its value, embedded',
      value: of('memory'),
      unit: 'bytes',
      floor: of('map'),
    },
  ];
}

export const heap: Bench = {
  name: 'heap',
  question: `What does a watched credential take beside its value?`,
  run,
};
