import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import type { Fence } from './markdown.js';
import { ROOT } from './repository.js';

const run = promisify(execFile);

/** Far more than any of them takes; only what does not end by itself reaches it. */
const DEADLINE_MS = 60_000;

/** A folder in which programs of the documents run as they stand, on the library's sources. */
export interface Workshop extends AsyncDisposable {
  /** Runs a program until it ends by itself; rejects, with what it printed, when it fails. Gives what it printed. */
  run(fence: Fence, redisUrl: string): Promise<string>;
  /** Runs a file of tests with vitest; rejects as `run` does. */
  test(fence: Fence): Promise<string>;
}

export async function openWorkshop(): Promise<Workshop> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'credstream-docs-')));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'dir');
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const paths = {
    credstream: [join(ROOT, 'src/index.ts')],
    'credstream/testing': [join(ROOT, 'src/testing/index.ts')],
  };
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions: { paths } }),
  );
  const alias = Object.entries(paths)
    .map(([name, [path]]) => ({ find: name, replacement: path }))
    .reverse();
  await writeFile(
    join(folder, 'vitest.config.js'),
    `export default ${JSON.stringify({ resolve: { alias }, test: { include: ['*.test.ts'] } })};\n`,
  );

  const require = createRequire(import.meta.url);
  const tsx = pathToFileURL(require.resolve('tsx')).href;
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  let programs = 0;
  const write = async (fence: Fence, ending: string): Promise<string> => {
    programs += 1;
    const file = join(folder, `program-${programs}${ending}`);
    await writeFile(file, fence.text);
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
    run: async (fence, redisUrl) =>
      execute(['--import', tsx, await write(fence, '.ts')], { REDIS_URL: redisUrl }),
    test: async (fence) =>
      execute([vitest, 'run', await write(fence, '.test.ts')], { NO_COLOR: '1' }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
