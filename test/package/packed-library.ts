import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** What the build reads, and what goes into the tarball beside its output. */
const STAGED = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'src',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
];

/** What a user of the library brings along besides what the library asks for. */
const CONSUMER_TOOLS = ['typescript', '@types/node'];

/** The library as it would be published, installed in a project that has nothing else. */
export interface PackedLibrary extends AsyncDisposable {
  /** Paths in the tarball, sorted, without the leading `package/`. */
  readonly files: readonly string[];
  /** Where the tarball was unpacked. */
  readonly installed: string;
  /** The project that has it installed; ESM, without sources so far. */
  readonly consumer: string;
}

/**
 * Builds, packs and installs the library below a temporary directory. Nothing in the repository is written, so other
 * tests and builds may run at the same time, and no network is needed: what the library declares as dependency or peer
 * is linked from the repository. What it does not declare is not there, so an undeclared import fails.
 */
export async function packLibrary(): Promise<PackedLibrary> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'credstream-package-')));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    await build(join(root, 'stage'));
    const tarball = await pack(join(root, 'stage'), join(root, 'tarball'));
    const consumer = join(root, 'consumer');
    const installed = await install(tarball, consumer);
    const listed = await run('tar', ['-tzf', tarball]);
    const files = listed.stdout
      .split('\n')
      .filter((path) => path !== '' && !path.endsWith('/'))
      .map((path) => path.replace(/^package\//, ''))
      .sort();
    return { files, installed, consumer, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Copies what the build reads into a folder of its own, and builds there. `npm run types` checks types; here it would take most of the time. */
export async function build(stage: string): Promise<void> {
  await mkdir(stage, { recursive: true });
  for (const path of STAGED) {
    await cp(join(REPOSITORY, path), join(stage, path), { recursive: true });
  }
  await symlink(join(REPOSITORY, 'node_modules'), join(stage, 'node_modules'), 'dir');
  await compile(stage, ['-p', 'tsconfig.build.json', '--noCheck']);
}

/** Packs what was built in `stage`, and gives the path of the tarball. */
export async function pack(stage: string, destination: string): Promise<string> {
  await mkdir(destination, { recursive: true });
  // `prepack` would remove and build again what was built just now.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', destination], { cwd: stage });
  const tarballs = await readdir(destination);
  const [name] = tarballs;
  if (name === undefined || tarballs.length !== 1) {
    throw new Error(`npm pack left ${String(tarballs.length)} files, expected one tarball`);
  }
  return join(destination, name);
}

/** Unpacks a tarball into a project, and links what it asks for. */
export async function install(tarball: string, consumer: string): Promise<string> {
  const installed = join(consumer, 'node_modules', 'credstream');
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };
  const wanted = { ...manifest.dependencies, ...manifest.peerDependencies };
  for (const name of [...Object.keys(wanted), ...CONSUMER_TOOLS]) {
    const link = join(consumer, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(REPOSITORY, 'node_modules', name), link, 'dir');
  }
  return installed;
}

/** Runs the compiler in `cwd`; what it complains about becomes the message of the error. */
export async function compile(cwd: string, args: readonly string[]): Promise<void> {
  try {
    await run(
      process.execPath,
      [join(REPOSITORY, 'node_modules/typescript/bin/tsc'), '--pretty', 'false', ...args],
      { cwd },
    );
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`tsc ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}`, {
      cause: error,
    });
  }
}

/** Runs a program with Node until it ends by itself, and gives what it printed. */
export async function runProgram(
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await run(process.execPath, [file], {
    cwd: dirname(file),
    env: { PATH: process.env['PATH'], ...env },
    timeout: 600_000,
  });
  return stdout;
}
