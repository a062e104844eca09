import { execFile } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { compile, type PackedLibrary } from '../package/packed-library.js';
import type { Runtime } from './find-runtime.js';

const run = promisify(execFile);

/** For a hang; the program takes two seconds. */
const DEADLINE_MS = 90_000;

/** The lines that the program prints when all is well. */
export const JOBS = [
  'save and subscribe',
  'compare and set',
  'clear and abort',
  'expiry',
  'directory',
  're-authentication',
  'closed',
] as const;

export const SMOKE = fileURLToPath(new URL('smoke.ts', import.meta.url));

/** Compiles the program in the project that has the packed library installed; gives its path. */
export async function compileSmoke({ consumer }: PackedLibrary): Promise<string> {
  const directory = join(consumer, 'smoke');
  await mkdir(directory, { recursive: true });
  await copyFile(SMOKE, join(directory, 'smoke.ts'));
  await writeFile(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--types', 'node'];
  await compile(directory, [...options, '--lib', 'es2022,esnext.disposable', 'smoke.ts']);
  return join(directory, 'smoke.js');
}

/** Runs the program until it ends by itself, and gives the lines that it printed. */
export async function runSmoke(
  { command, args }: Pick<Runtime, 'command' | 'args'>,
  program: string,
  url: string,
): Promise<string[]> {
  const { stdout } = await run(command, [...args, program, url], {
    cwd: join(program, '..'),
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  return stdout.trimEnd().split('\n');
}
