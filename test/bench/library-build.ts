import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The library as users get it. What tsx makes of the sources is slower and larger: it names every function at run time. */
export interface LibraryBuild extends AsyncDisposable {
  /** Of its index.js. */
  readonly url: string;
}

/** Builds into a folder of its own below the project, where packages are found. */
export async function buildLibrary(): Promise<LibraryBuild> {
  await mkdir(join(ROOT, 'temp'), { recursive: true });
  const folder = await mkdtemp(join(ROOT, 'temp', 'bench-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await compile(folder);
  } catch (error) {
    await remove();
    throw error;
  }
  return { url: pathToFileURL(join(folder, 'index.js')).href, [Symbol.asyncDispose]: remove };
}

async function compile(folder: string): Promise<void> {
  const typescript = createRequire(import.meta.url).resolve('typescript/package.json');
  // Only what runs: types are checked elsewhere.
  const faster = ['--noCheck', '--declaration', 'false', '--declarationMap', 'false'];
  const args = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', folder, ...faster];
  await promisify(execFile)(process.execPath, [
    join(dirname(typescript), 'bin', 'tsc'),
    ...args,
    '--isolatedDeclarations',
    'false',
  ]);
}
