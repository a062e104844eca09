import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['src', 'test', 'examples'];
/** Names the folder for all processes of a run, also for those that children start. */
const VARIABLE = 'CREDSTREAM_COMPILED';

/** A copy of the repository's programs in JavaScript: a process that runs one of them starts in half the time. */
export interface CompiledPrograms extends AsyncDisposable {
  /** Compiles once more what has changed. */
  update(): Promise<void>;
}

/** Compiles all but the tests themselves into a folder inside the project, where packages are found. */
export async function compilePrograms(): Promise<CompiledPrograms> {
  // Not at the top: children that only ask for a path do not need the compiler.
  const { build } = await import('esbuild');
  await mkdir(join(ROOT, 'temp'), { recursive: true });
  const folder = await mkdtemp(join(ROOT, 'temp', 'programs-'));
  const update = async (): Promise<void> => {
    await build({
      absWorkingDir: ROOT,
      entryPoints: await sources(),
      outdir: folder,
      outbase: ROOT,
      format: 'esm',
      platform: 'node',
      target: 'node20',
    });
  };
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await update();
    // The library by its own name, as `paths` in tsconfig.json has it.
    const exports = { '.': './src/index.js', './testing': './src/testing/index.js' };
    const manifest = { name: 'credstream', type: 'module', exports };
    await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
    // What was downloaded once is found from here, too.
    await mkdir(join(ROOT, '.cache'), { recursive: true });
    await symlink(join(ROOT, '.cache'), join(folder, '.cache'), 'junction');
  } catch (error) {
    await remove();
    throw error;
  }
  process.env[VARIABLE] = folder;
  return { update, [Symbol.asyncDispose]: remove };
}

/** Where a program of the repository is to be found in JavaScript; undefined outside a test run. */
export function compiledProgram(file: string): string | undefined {
  const folder = process.env[VARIABLE];
  if (folder === undefined) return undefined;
  // A program that is compiled itself names its neighbors by where it is.
  const origin = file.startsWith(folder + sep) ? folder : ROOT;
  return join(folder, relative(origin, file).replace(/\.ts$/, '.js'));
}

async function sources(): Promise<string[]> {
  const found = await Promise.all(
    FOLDERS.map(async (folder) => {
      const names = await readdir(join(ROOT, folder), { recursive: true });
      return names.map((name) => join(folder, name));
    }),
  );
  return found.flat().filter((name) => name.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(name));
}
