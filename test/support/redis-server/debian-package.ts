import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { probeBinary, type RedisBinary } from './redis-binary.js';

const run = promisify(execFile);

const CACHE = fileURLToPath(new URL('../../../.cache/redis/', import.meta.url));
const DEADLINE_MS = 180_000;

/**
 * Debian's or Ubuntu's own redis-server, unpacked beside the project instead of installed: needs neither root nor a
 * running service, and the second time it is simply there. Rejects where there is no apt.
 */
export async function downloadRedis(cacheDir: string = CACHE): Promise<RedisBinary> {
  const root = join(cacheDir, await systemName());
  const unpacked = await access(serverIn(root)).then(
    () => true,
    () => false,
  );
  if (!unpacked) await unpackInto(root, cacheDir);
  return probeBinary(serverIn(root), { LD_LIBRARY_PATH: await libraryPath(root) });
}

function serverIn(root: string): string {
  return join(root, 'usr/bin/redis-server');
}

/** Libraries fit one release of one distribution, and the cache may be shared by several, as in CI. */
async function systemName(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8');
  const field = (name: string): string =>
    new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(release)?.[1] ?? 'unknown';
  return `${field('ID')}-${field('VERSION_ID')}-${process.arch}`;
}

async function unpackInto(root: string, cacheDir: string): Promise<void> {
  await mkdir(cacheDir, { recursive: true });
  const work = await mkdtemp(join(cacheDir, 'unpack-'));
  try {
    await download(work);
    for (const name of await readdir(work)) {
      if (name.endsWith('.deb')) await apt('dpkg-deb', ['-x', name, 'root'], work);
    }
    await rename(join(work, 'root'), root).catch(async (error: unknown) => {
      // Another test process was faster with the same packages.
      await access(serverIn(root)).catch(() => Promise.reject(error));
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With the package lists of the system; where these are missing or outdated, with fresh ones of our own. */
async function download(work: string): Promise<void> {
  try {
    await downloadWith([], work);
  } catch {
    const options = await privateLists(work);
    await downloadWith(options, work);
  }
}

async function downloadWith(options: readonly string[], work: string): Promise<void> {
  const packages = await packagesOf('redis-server', options, work);
  await apt('apt-get', [...options, 'download', ...packages], work);
}

/** Lists and caches under `work`, so that the system's stay as they are and no root is needed. */
async function privateLists(work: string): Promise<string[]> {
  const state = join(work, 'state');
  const cache = join(work, 'cache');
  await mkdir(join(state, 'lists/partial'), { recursive: true });
  await mkdir(join(cache, 'archives/partial'), { recursive: true });
  const options = [
    `Dir::State=${state}`,
    // Once more by its own name: a machine's configuration may set it as an absolute path.
    `Dir::State::lists=${join(state, 'lists')}`,
    `Dir::Cache=${cache}`,
    'Dir::State::status=/dev/null',
  ];
  // As root apt would read and write as `_apt`, which may not look into our directory.
  if (process.getuid?.() === 0) options.push('APT::Sandbox::User=root');
  const flags = options.flatMap((option) => ['-o', option]);
  await apt('apt-get', [...flags, 'update'], work);
  return flags;
}

/**
 * The package, what holds its programs, and the libraries these need, whether installed here or not: the set is then the
 * same on every machine of a release. Not libc: it must be the one of the running system's loader.
 */
async function packagesOf(
  name: string,
  options: readonly string[],
  work: string,
): Promise<ReadonlySet<string>> {
  const wanted = new Set([name]);
  for (let fresh = [name]; fresh.length > 0;) {
    const text = await apt('apt-cache', [...options, 'depends', ...fresh], work);
    fresh = dependencies(text).filter((found) => isNeeded(found) && !wanted.has(found));
    for (const found of fresh) wanted.add(found);
  }
  return wanted;
}

function isNeeded(name: string): boolean {
  return /^(lib|lua-|redis-|valkey-)/.test(name) && !/^libc6$|^libc-/.test(name);
}

/** Of alternatives (`|Depends: a`, then `Depends: b`) the first, and no virtual ones (`<a>`). */
function dependencies(text: string): string[] {
  const found: string[] = [];
  let chosen = false;
  for (const line of text.split('\n')) {
    const match = /^\s+(\|?)(?:Pre)?Depends: ([^<\s]+)$/.exec(line);
    if (match === null) continue;
    const [, bar, name] = match;
    if (!chosen && name !== undefined) found.push(name);
    chosen = bar === '|';
  }
  return [...new Set(found)];
}

async function libraryPath(root: string): Promise<string> {
  const files = await readdir(root, { recursive: true, withFileTypes: true });
  const libraries = files.filter((file) => /\.so(\.|$)/.test(file.name));
  return [...new Set(libraries.map((file) => file.parentPath))].join(':');
}

async function apt(command: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const { stdout } = await run(command, args, { cwd, env, timeout: DEADLINE_MS });
  return stdout;
}
