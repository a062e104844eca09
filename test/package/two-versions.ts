import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { transform } from 'esbuild';

import { build, install, pack } from './packed-library.js';

const PROGRAM = fileURLToPath(new URL('./consumer/instance.ts', import.meta.url));
const NEWER_VERSION = '99.0.0';
/** Where the versions of records and messages stand. */
const VERSIONED = ['backend/attempt-record.js', 'redis/commands/announcement.js'];

/** One program, `consumer/instance.ts`, in two projects with two versions of the library. */
export interface TwoVersions extends AsyncDisposable {
  /** The program with the library as it is. */
  readonly older: string;
  /** The program with a library whose records and messages have the next version. */
  readonly newer: string;
}

/** Builds the library once and packs it twice, below a temporary directory. */
export async function packTwoVersions(): Promise<TwoVersions> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'credstream-versions-')));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    const stage = join(root, 'stage');
    await build(stage);
    const older = await installProgram(stage, join(root, 'older'));
    await raiseVersions(stage);
    const newer = await installProgram(stage, join(root, 'newer'));
    return { older, newer, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Makes of the build what a later release is to this one. */
async function raiseVersions(stage: string): Promise<void> {
  await edit(join(stage, 'package.json'), /("version": )"[^"]+"/, `$1"${NEWER_VERSION}"`);
  for (const file of VERSIONED)
    await edit(join(stage, 'dist', file), /^const VERSION = 1;$/m, 'const VERSION = 2;');
}

async function edit(file: string, pattern: RegExp, by: string): Promise<void> {
  const before = await readFile(file, 'utf8');
  const after = before.replace(pattern, by);
  if (after === before) throw new Error(`nothing in ${file} matches ${String(pattern)}`);
  await writeFile(file, after);
}

async function installProgram(stage: string, project: string): Promise<string> {
  await install(await pack(stage, `${project}-tarball`), project);
  const { code } = await transform(await readFile(PROGRAM, 'utf8'), { loader: 'ts' });
  const program = join(project, 'instance.mjs');
  await writeFile(program, code);
  return program;
}
