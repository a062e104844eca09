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

/** For programs that are compiled to be run: the libraries are checked where types are what is tested. */
const TO_RUN = { module: 'nodenext', skipLibCheck: true };

// Compilers on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let library: PackedLibrary;

beforeAll(async () => {
  library = await packLibrary();
  return () => library[Symbol.asyncDispose]();
}, 300_000);

/** A program in the consuming project: its directory with a tsconfig of its own. */
async function writeProgram(name: string, source: string, options: object): Promise<string> {
  const directory = join(library.consumer, name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  await writeFile(join(directory, 'main.ts'), source);
  await writeFile(
    join(directory, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...COMPILER_OPTIONS, ...options }, files: ['main.ts'] }),
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
  test.each([
    ['nodenext', { module: 'nodenext' }],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('type-checks with module resolution %s', async (resolution, options) => {
    const source = importEverything + (await consumerSource()) + printEverything;
    const directory = await writeProgram(`types-${resolution}`, source, options);
    await compile(directory, ['--noEmit', '-p', '.']);
  });

  test('sees types, not `any`, at both entries', async () => {
    const wrong = ENTRIES.map(
      (entry, index) => `import { noSuchName as wrong${String(index)} } from '${entry}';\n`,
    ).join('');
    const directory = await writeProgram(
      'types-wrong',
      `${wrong}console.log(wrong0, wrong1);\n`,
      TO_RUN,
    );
    await expect(compile(directory, ['--noEmit', '-p', '.'])).rejects.toThrow(
      /main\.ts\(1,.*TS2305[\s\S]*main\.ts\(2,.*TS2305/,
    );
  });

  test('runs, and ends by itself', async () => {
    const directory = await writeProgram('run', await consumerSource(), TO_RUN);
    await compile(directory, ['-p', '.']);
    expect(await runProgram(join(directory, 'main.js'))).toBe('saved cleared first\n');
  });

  test('starts nothing by importing both entries', async () => {
    const directory = await writeProgram('import', '', { module: 'nodenext' });
    await writeFile(join(directory, 'main.js'), importEverything + printEverything);
    expect(await runProgram(join(directory, 'main.js'))).toBe('true\ntrue\n');
  });

  test('can follow the quick start of the README to its end', async () => {
    const directory = await writeProgram('quick-start', await readQuickStart(), TO_RUN);
    await compile(directory, ['-p', '.']);
    await expect(
      runProgram(join(directory, 'main.js'), { REDIS_URL: inject('redisUrl') }),
    ).resolves.toBeTypeOf('string');
  });
});
