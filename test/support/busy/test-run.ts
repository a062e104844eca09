import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** How one run of vitest has ended. */
export interface TestRun {
  readonly name: string;
  readonly green: boolean;
  readonly seconds: number;
  readonly passed: number;
  /** A line for each failed test, and for what failed outside of tests. */
  readonly failures: readonly string[];
}

interface Results {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Runs the tests in the files whose paths hold one of `filters`, or all. */
export async function runTests(name: string, filters: readonly string[]): Promise<TestRun> {
  console.log(`\n== ${name}`);
  const folder = await mkdtemp(join(tmpdir(), 'credstream-busy-'));
  const file = join(folder, 'results.json');
  const manifest = createRequire(import.meta.url).resolve('vitest/package.json');
  const startedAt = performance.now();
  try {
    const vitest = spawn(
      process.execPath,
      [
        join(dirname(manifest), 'vitest.mjs'),
        ...['run', '--reporter=dot', '--reporter=json', `--outputFile.json=${file}`],
        ...filters,
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    const [code] = (await once(vitest, 'exit')) as [number | null];
    const seconds = (performance.now() - startedAt) / 1_000;
    const { passed, failures } = await read(file);
    // An unhandled rejection, a crash and an empty run fail without a failed test.
    const others = code !== 0 && failures.length === 0 ? [`vitest ended with ${code}`] : [];
    const all = [...failures, ...others];
    return { name, green: all.length === 0 && passed > 0, seconds, passed, failures: all };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function read(file: string): Promise<Pick<TestRun, 'passed' | 'failures'>> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { passed: 0, failures: ['vitest left no results'] };
  const { testResults } = JSON.parse(text) as Results;
  let passed = 0;
  const failures: string[] = [];
  for (const { name, status, message, assertionResults } of testResults) {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    passed += assertionResults.filter((test) => test.status === 'passed').length;
    failures.push(...failed.map(({ fullName }) => `${name}: ${fullName}`));
    if (status === 'failed' && failed.length === 0) failures.push(`${name}: ${message}`);
  }
  return { passed, failures };
}
