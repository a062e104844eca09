import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, inject, test, vi } from 'vitest';

import {
  compile,
  packLibrary,
  type PackedLibrary,
  REPOSITORY,
  runProgram,
} from './packed-library.js';
import { readQuickStart } from './quick-start.js';
import { JOBS, runSmoke, SMOKE } from '../runtimes/run-smoke.js';

const ENTRIES = ['credstream', 'credstream/testing'];

/** No setting that ours has and another project may not have; libraries are checked, too. */
const COMPILER_OPTIONS = {
  target: 'ES2022',
  lib: ['ES2022', 'ESNext.Disposable'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  rootDir: '.',
};

// Compilers on a busy machine.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let library: PackedLibrary;

beforeAll(async () => {
  library = await packLibrary();
  return () => library[Symbol.asyncDispose]();
});

/** Programs in the consuming project, by their file names: their directory, with a tsconfig of its own. */
async function writePrograms(
  name: string,
  sources: Readonly<Record<string, string>>,
  options: object,
): Promise<string> {
  const directory = join(library.consumer, name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  for (const [file, source] of Object.entries(sources))
    await writeFile(join(directory, file), source);
  const files = Object.keys(sources).filter((file) => file.endsWith('.ts'));
  await writeFile(
    join(directory, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...COMPILER_OPTIONS, ...options }, files }),
  );
  return directory;
}

const consumerSource = (): Promise<string> =>
  readFile(fileURLToPath(new URL('./consumer/main.ts', import.meta.url)), 'utf8');

const importEverything = ENTRIES.map(
  (entry, index) => `import * as entry${String(index)} from '${entry}';\n`,
).join('');
const printEverything = ENTRIES.map(
  (_, index) => `console.log(Object.keys(entry${String(index)}).length > 0);\n`,
).join('');

const wrongImports = ENTRIES.map(
  (entry, index) => `import { noSuchName as wrong${String(index)} } from '${entry}';\n`,
).join('');

describe('the tarball', () => {
  test('contains the build, its sources and the documents, and nothing else', () => {
    const unwanted = library.files.filter(
      (path) =>
        !/^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path) &&
        !/^dist\/[\w/-]+\.(js|d\.ts)(\.map)?$/.test(path) &&
        !/^src\/[\w/-]+\.ts$/.test(path),
    );
    expect(unwanted).toEqual([]);
    expect(library.files).toEqual(
      expect.arrayContaining([
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'dist/index.d.ts',
        'dist/index.js',
        'dist/testing/index.d.ts',
        'dist/testing/index.js',
        'package.json',
        'src/index.ts',
      ]),
    );
  });

  test('has a source for every module, and maps that lead to it', async () => {
    const present = new Set(library.files);
    const maps = library.files.filter((path) => path.endsWith('.map'));
    expect(maps.length).toBeGreaterThan(0);
    for (const path of maps) {
      const map = JSON.parse(await readFile(join(library.installed, path), 'utf8')) as {
        sources: string[];
      };
      const missing = map.sources
        .map((source) => posix.join(posix.dirname(path), source))
        .filter((source) => !present.has(source));
      expect(missing, path).toEqual([]);
    }
  });

  test('shows nothing about the machine that built it', async () => {
    const places = [dirname(library.consumer), REPOSITORY.replace(/\/$/, '')];
    for (const path of library.files) {
      const text = await readFile(join(library.installed, path), 'utf8');
      expect(
        places.filter((place) => text.includes(place)),
        path,
      ).toEqual([]);
    }
  });
});

describe('a project that installed it', () => {
  let directory: string;
  /** Of all programs at once, as a compiler takes most of its time to start. */
  let compiled: Promise<unknown>;
  beforeAll(async () => {
    const sources = {
      'types.ts': importEverything + (await consumerSource()) + printEverything,
      'wrong.ts': `${wrongImports}console.log(wrong0, wrong1);\n`,
      'run.ts': await consumerSource(),
      'quick-start.ts': await readQuickStart(),
      'smoke.ts': await readFile(SMOKE, 'utf8'),
      'import.js': importEverything + printEverything,
    };
    directory = await writePrograms('nodenext', sources, { module: 'nodenext' });
    // What it complains about is for the tests to say.
    compiled = compile(directory, ['-p', '.']).catch((error: unknown) => error);
    await compiled;
  });

  test('type-checks with module resolution nodenext, but for names that an entry does not have', async () => {
    const complaints = String(await compiled).match(/^\S+\(\d+,.*error.*$/gm);
    const unknownName = (line: number): unknown =>
      expect.stringMatching(new RegExp(`^wrong\\.ts\\(${line},.*TS2305`));
    expect(complaints).toEqual(ENTRIES.map((_, index) => unknownName(index + 1)));
  });

  test('type-checks with module resolution bundler', async () => {
    const source = importEverything + (await consumerSource()) + printEverything;
    const options = { module: 'esnext', moduleResolution: 'bundler' };
    const bundled = await writePrograms('bundler', { 'main.ts': source }, options);
    await compile(bundled, ['--noEmit', '-p', '.']);
  });

  test('runs, and ends by itself', async () => {
    expect(await runProgram(join(directory, 'run.js'))).toBe('saved cleared first\n');
  });

  test('starts nothing by importing both entries', async () => {
    expect(await runProgram(join(directory, 'import.js'))).toBe('true\ntrue\n');
  });

  test('can follow the quick start of the README to its end', async () => {
    await expect(
      runProgram(join(directory, 'quick-start.js'), { REDIS_URL: inject('redisUrl') }),
    ).resolves.toBeTypeOf('string');
  });

  test('does every job of the smoke program on the runtime of the tests, and ends by itself', async () => {
    const node = { command: process.execPath, args: [] };
    expect(await runSmoke(node, join(directory, 'smoke.js'), inject('redisUrl'))).toEqual(JOBS);
  });
});
