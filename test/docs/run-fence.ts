import { execFile } from 'node:child_process';
import { mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { transform } from 'esbuild';

import { compiledProgram } from '../support/compiled-programs.js';
import type { Fence } from './markdown.js';
import { ROOT } from './repository.js';

const run = promisify(execFile);

/** Far more than any of them takes; only what does not end by itself reaches it. */
const DEADLINE_MS = 180_000;

/** A folder in which programs of the documents run as they stand, on the library's sources. */
export interface Workshop extends AsyncDisposable {
  /** Runs a program until it ends by itself; rejects, with what it printed, when it fails. Gives what it printed. */
  run(fence: Fence, redisUrl: string): Promise<string>;
  /** Runs files of tests with vitest; rejects as `run` does. Gives how the tests of each have ended. */
  test(fences: readonly Fence[]): Promise<(readonly string[])[]>;
}

export async function openWorkshop(): Promise<Workshop> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'credstream-docs-')));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'dir');
  // A package finds itself by its own name: here, the library as it was compiled for this run.
  const library = compiledProgram(join(ROOT, 'src'));
  if (library === undefined) throw new Error('nothing was compiled for this run');
  await symlink(library, join(folder, 'src'), 'dir');
  const exports = { '.': './src/index.js', './testing': './src/testing/index.js' };
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'credstream', type: 'module', exports }),
  );
  await writeFile(
    join(folder, 'vitest.config.js'),
    `export default { test: { include: ['*.test.ts'], pool: 'threads', maxWorkers: 1 } };\n`,
  );

  const require = createRequire(import.meta.url);
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  let programs = 0;
  const write = async (text: string, ending: string): Promise<string> => {
    programs += 1;
    const file = join(folder, `program-${programs}${ending}`);
    await writeFile(file, text);
    return file;
  };
  const execute = async (args: readonly string[], env: Record<string, string>): Promise<string> => {
    const { stdout, stderr } = await run(process.execPath, args, {
      cwd: folder,
      env: { PATH: process.env['PATH'], ...env },
      timeout: DEADLINE_MS,
      killSignal: 'SIGKILL',
    });
    // A warning of the library is something that a reader would see.
    if (stderr !== '') throw new Error(`it printed to stderr:\n${stderr}`);
    return stdout;
  };
  return {
    run: async (fence, redisUrl) => {
      const { code } = await transform(fence.text, {
        loader: 'ts',
        format: 'esm',
        target: 'node20',
      });
      return execute([await write(code, '.js')], { REDIS_URL: redisUrl });
    },
    test: async (fences) => {
      const files = await Promise.all(fences.map(({ text }) => write(text, '.test.ts')));
      const results = join(folder, 'results.json');
      await execute([vitest, 'run', '--reporter=json', `--outputFile=${results}`], {
        NO_COLOR: '1',
      });
      const { testResults } = JSON.parse(await readFile(results, 'utf8')) as {
        testResults: { name: string; assertionResults: { status: string }[] }[];
      };
      return files.map((file) => {
        const result = testResults.find(({ name }) => name === file);
        return result?.assertionResults.map(({ status }) => status) ?? [];
      });
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
