/**
 * Runs the packed library on other runtimes, against a real Redis: `npm run test:runtimes`. Installs nothing by itself, and fails with
 * the line that installs a runtime which is missing.
 *
 *   npm run test:runtimes
 *   npm run test:runtimes -- node24 bun=/usr/local/bin/bun
 */
import { isDeepStrictEqual } from 'node:util';

import { packLibrary, REPOSITORY } from '../package/packed-library.js';
import { findRedis } from '../support/redis-server/index.js';
import { findRuntime, INSTALLED, RUNTIMES } from './find-runtime.js';
import { compileSmoke, JOBS, runSmoke } from './run-smoke.js';

const wanted = process.argv.length > 2 ? process.argv.slice(2) : RUNTIMES;
let failed = 0;
const fail = (name: string, error: unknown): void => {
  failed += 1;
  console.log(`${name}: failed: ${error instanceof Error ? error.message : String(error)}`);
};

await using library = await packLibrary();
const program = await compileSmoke(library);
await using server = await (await findRedis()).start();
for (const one of wanted) {
  const [name = '', given] = one.split('=');
  try {
    const runtime = await findRuntime(name, `${REPOSITORY}${INSTALLED}`, given);
    const lines = await runSmoke(runtime, program, server.url);
    if (!isDeepStrictEqual(lines, [...JOBS])) throw new Error(`printed ${lines.join(', ')}`);
    console.log(`${name}: passed on ${runtime.version}, Redis ${server.version}`);
  } catch (error) {
    fail(name, error);
  }
}
console.log(`${String(wanted.length - failed)} passed, ${String(failed)} failed`);
process.exitCode = failed === 0 ? 0 : 1;
