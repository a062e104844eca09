import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A JavaScript runtime that programs are run with. */
export interface Runtime {
  readonly name: string;
  readonly command: string;
  /** Before the file of the program. */
  readonly args: readonly string[];
  /** As the runtime tells it. */
  readonly version: string;
}

interface Known {
  /** Package that holds the program itself, so that no install script is needed. */
  readonly install: (system: string) => string;
  readonly program: (system: string) => string;
  readonly args: readonly string[];
  /** What `--version` has to begin with. */
  readonly version: RegExp;
}

const node = (major: number): Known => ({
  install: (system) => `node${String(major)}@npm:node-${system}@${String(major)}`,
  program: () => `node${String(major)}/bin/node`,
  args: [],
  version: new RegExp(`^v${String(major)}\\.`),
});

const KNOWN: Readonly<Record<string, Known>> = {
  node22: node(22),
  node24: node(24),
  bun: { install: () => 'bun@1', program: () => 'bun/bin/bun.exe', args: ['run'], version: /^1\./ },
  deno: {
    install: (system) => `@deno/${system}-glibc@2`,
    program: (system) => `@deno/${system}-glibc/deno`,
    args: ['run', '--allow-all', '--node-modules-dir=manual'],
    version: /^deno 2\./,
  },
};

/** The runtimes that `npm run test:runtimes` runs. */
export const RUNTIMES: readonly string[] = Object.keys(KNOWN);

/** Where the runtimes are installed, below the repository. */
export const INSTALLED = 'temp/runtimes';

/** The line that installs them all for this system. */
export function installLine(names: readonly string[] = RUNTIMES): string {
  const packages = names.map((name) => knownOf(name).install(systemName()));
  return `npm install --no-save --prefix ${INSTALLED} ${packages.join(' ')}`;
}

/**
 * Finds a runtime: the program that is given, else the one installed below `directory`.
 *
 * @throws Error of one line, which says how to install it, when there is none or it is another one.
 */
export async function findRuntime(
  name: string,
  directory: string,
  given?: string,
): Promise<Runtime> {
  const { program, args, version: expected } = knownOf(name);
  const command = given ?? join(directory, 'node_modules', program(systemName()));
  let version: string;
  try {
    const { stdout } = await run(command, ['--version'], { timeout: 20_000 });
    version = stdout.split('\n', 1)[0] ?? '';
  } catch {
    throw new Error(`${name} is not there; install it: ${installLine([name])}`);
  }
  if (!expected.test(version)) {
    throw new Error(`${command} is ${version} and not ${name}; install it: ${installLine([name])}`);
  }
  return { name, command, args, version };
}

function knownOf(name: string): Known {
  const known = KNOWN[name];
  if (known === undefined) throw new Error(`${name} is none of ${RUNTIMES.join(', ')}`);
  return known;
}

function systemName(): string {
  return `${process.platform}-${process.arch}`;
}
