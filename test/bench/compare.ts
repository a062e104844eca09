/**
 * Whether a change made something slower or larger: `npm run bench:compare -- <commit>`. Runs the benchmarks of that commit and those of this
 * checkout in turns, so that both meet the same noise, and shows the median over the pairs of runs.
 *
 *   npm run bench:compare -- HEAD~1 --only heap --runs 5
 *   npm run bench:compare -- 1d6c458 --only many --quick
 */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import type { Finding } from './bench.js';
import { median } from './statistics.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TSX = join(
  dirname(createRequire(import.meta.url).resolve('tsx/package.json')),
  'dist/cli.mjs',
);

const {
  values: { only, quick, runs },
  positionals: [commit],
} = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
  },
});
if (commit === undefined) throw new Error('name the commit to compare with');

const flags = [
  '--json',
  ...(quick ? ['--quick'] : []),
  ...only.flatMap((name) => ['--only', name]),
];
const before: Finding[][] = [];
const after: Finding[][] = [];
const checkout = await checkOut(commit);
try {
  for (let run = 1; run <= Number(runs); run += 1) {
    // The order changes, for what the first leaves behind.
    const turns = [
      async () => void before.push(await findings(checkout)),
      async () => void after.push(await findings(ROOT)),
    ];
    for (const turn of run % 2 === 1 ? turns : turns.toReversed()) await turn();
    console.error(`pair ${run} of ${runs}`);
  }
} finally {
  await promisify(execFile)('git', ['worktree', 'remove', '--force', checkout], { cwd: ROOT });
  await rm(dirname(checkout), { recursive: true, force: true });
}

for (const { what, unit } of after[0] ?? []) {
  const pairs = after.map((run, nth) => [valueOf(before[nth], what), valueOf(run, what)] as const);
  const known = pairs.filter(
    (pair): pair is readonly [number, number] => !pair.includes(undefined),
  );
  if (known.length === 0) {
    console.log(`${what}: not known at ${commit}`);
    continue;
  }
  const ratio = median(known.map(([old, now]) => (old === now ? 1 : now / old)));
  const [old, now] = ([0, 1] as const).map((side) => median(known.map((pair) => pair[side])));
  console.log(`${what}: ${round(old)} -> ${round(now)} ${unit}, ratio ${ratio.toFixed(3)}`);
}

/** A work tree of the commit in a folder of its own, with the packages of this one. */
async function checkOut(revision: string): Promise<string> {
  await mkdir(join(ROOT, 'temp'), { recursive: true });
  const folder = await mkdtemp(join(ROOT, 'temp', 'compare-'));
  const tree = join(folder, 'tree');
  await promisify(execFile)('git', ['worktree', 'add', '--detach', tree, revision], { cwd: ROOT });
  await symlink(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

async function findings(root: string): Promise<Finding[]> {
  const run = spawn(process.execPath, [TSX, 'test/bench/main.ts', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  run.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (errors = (errors + text).slice(-2_000)));
  for await (const text of run.stdout.setEncoding('utf8')) output += text as string;
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  if (lines.length === 0) throw new Error(`the benchmarks of ${root} found nothing: ${errors}`);
  return lines.map((line) => JSON.parse(line) as Finding);
}

function valueOf(run: readonly Finding[] | undefined, what: string): number | undefined {
  return run?.find((finding) => finding.what === what)?.value;
}

function round(value: number | undefined): string {
  return (value ?? NaN).toPrecision(4);
}
