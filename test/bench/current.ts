import type { Bench, BenchContext, Finding } from './bench.js';
import { median } from './statistics.js';
import { type Worker, Workers } from './worker.js';
import type { ReaderCalls } from './workers/reader.js';

/** Room for all that a million reads could leave behind, so that nothing is collected meanwhile. */
const NOTHING_COLLECTED = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];
const UNCOLLECTED_READS = 500_000;

/** To a whole byte: reading the size of the heap itself leaves a few hundred. */
const rounded = (bytesPerRead: number): number => Math.max(0, Math.round(bytesPerRead));

async function run({ library, quick, progress }: BenchContext): Promise<readonly Finding[]> {
  const [runs, reads] = quick ? [5, 1_000_000] : [15, 10_000_000];
  await using workers = new Workers(library);
  const reader: Worker<ReaderCalls> = await workers.start('reader', ['--expose-gc']);
  const store: number[] = [];
  const map: number[] = [];
  for (let nth = 0; nth < runs; nth += 1) {
    store.push(await reader.call('time', { how: 'store', reads: reads / 5 }));
    map.push(await reader.call('time', { how: 'map', reads: reads / 5 }));
  }
  progress('current: timed');
  const growth = await reader.call('growth', reads);
  const careful: Worker<ReaderCalls> = await workers.start('reader', NOTHING_COLLECTED);
  const allocated = (how: 'store' | 'clocks'): Promise<number> =>
    careful.call('allocation', { how, reads: UNCOLLECTED_READS });
  const clocks = await allocated('clocks');
  const more = (await allocated('store')) - clocks;
  return [
    {
      what: '`current`, one read',
      value: median(store),
      unit: 'ns',
      floor: median(map),
      goal: { of: 'value', most: 120 },
    },
    {
      what: '`current`, allocated per read beyond the numbers that Node makes of two clocks',
      value: rounded(more),
      unit: 'bytes',
      goal: { of: 'value', most: 0 },
    },
    {
      what: `\`current\`, growth of the heap per read, over ${reads / 1e6} million`,
      value: rounded(growth / reads),
      unit: 'bytes',
      goal: { of: 'value', most: 0 },
    },
  ];
}

export const current: Bench = {
  name: 'current',
  question: 'What does a read from memory cost?',
  run,
};
