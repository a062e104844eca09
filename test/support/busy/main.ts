/**
 * Whether the tests are green on a busy machine: `npm run test:busy`. Runs all of them several times beside programs that only use up
 * processor time, and those that measure time more often. Fails when a single run does.
 *
 *   npm run test:busy -- --runs 5 --sensitive-runs 10 --loops 4
 *   npm run test:busy -- --runs 20 test/faults/expiry
 */
import { parseArgs } from 'node:util';

import { type GuardedProcess, spawnGuarded } from '../guarded-process.js';
import { type TestRun, runTests } from './test-run.js';

/** Files in which a bound on time is measured, or that wait for servers to miss each other. */
const SENSITIVE = [
  'test/examples/demo',
  'test/faults/',
  'test/integration/access-rights',
  'test/integration/authentication',
  'test/integration/clock-skew',
  'test/integration/lost-rights',
  'test/integration/replicas',
  'test/integration/without-scripts',
  'test/reauthentication/',
  'test/topology/',
];

const { values: options, positionals: only } = parseArgs({
  allowPositionals: true,
  options: {
    /** How often all tests run. */
    runs: { type: 'string', default: '5' },
    /** How often the timing-sensitive files run, those runs of all tests included. */
    'sensitive-runs': { type: 'string', default: '10' },
    /** How many programs use up processor time. */
    loops: { type: 'string', default: '4' },
  },
});
const runs = count(options.runs);
const sensitiveRuns = only.length > 0 ? 0 : Math.max(0, count(options['sensitive-runs']) - runs);
const loops: GuardedProcess[] = [];
const results: TestRun[] = [];

try {
  for (let loop = count(options.loops); loop > 0; loop -= 1) {
    loops.push(await spawnGuarded(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
  }
  for (let run = 1; run <= runs; run += 1) {
    const what = only.length > 0 ? only.join(' ') : 'all tests';
    results.push(await runTests(`${what}, run ${run} of ${runs}`, only));
  }
  for (let run = 1; run <= sensitiveRuns; run += 1) {
    const name = `timing-sensitive files, run ${run} of ${sensitiveRuns}`;
    results.push(await runTests(name, SENSITIVE));
  }
} finally {
  await Promise.all(loops.map((loop) => loop.kill()));
}

console.log(`\nsummary, beside ${loops.length} busy loops`);
for (const { name, seconds, passed, failures } of results) {
  console.log(`${name}: ${passed} passed, ${failures.length} failed, ${seconds.toFixed(0)} s`);
  for (const failure of failures) console.log(`  ${failure}`);
}
process.exitCode = results.length > 0 && results.every(({ green }) => green) ? 0 : 1;

function count(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) throw new Error(`${text} is not a number of times`);
  return number;
}
