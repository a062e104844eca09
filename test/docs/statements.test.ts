import { readdir } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';

import { describe, expect, test } from 'vitest';

import { MemoryCredentialStore, type ReauthenticatorOptions } from 'credstream';

import { ITERATOR_BUFFER } from '../../src/stores/change-iterator.js';
import { resolveDeriveOptions } from '../../src/derived/options.js';
import { resolveInvalidateOptions } from '../../src/derived/invalidate-options.js';
import { resolveReauthenticatorOptions } from '../../src/reauthentication/options.js';
import { resolveSettings } from '../../src/redis/connection-options.js';
import { resolveStoreOptions } from '../../src/stores/options.js';
import { headlessSentences } from '../support/lint/plain-english.js';
import type { Document, Link } from './markdown.js';
import { filesBelow, findDocument, place, readDocuments, readText, ROOT } from './repository.js';
import { sectionsOf } from './sections.js';
import { tableRows } from './tables.js';

const documents = await readDocuments();
const document = (file: string): Document => findDocument(documents, file);

describe('the README', () => {
  test('has at most 150 lines', () => {
    // The last line is the empty text behind the last line feed.
    expect(document('README.md').lines.length - 1).toBeLessThanOrEqual(150);
  });

  test('has no table row wider than 160 characters', () => {
    const rows = document('README.md').prose.filter((line) => line.trimStart().startsWith('|'));
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter((row) => row.length > 160)).toEqual([]);
  });

  test('begins with a quick start of at most 20 lines that saves, subscribes and reads memory', () => {
    const first = document('README.md').fences.find(({ language }) => language === 'ts');
    expect(first?.meta).toBe('');
    expect(first?.text.trimEnd().split('\n').length).toBeLessThanOrEqual(20);
    for (const part of ['.save(', '.subscribe(', '.current']) expect(first?.text).toContain(part);
    const heading = document('README.md').prose.findLast(
      (line, index) => index < first!.line && line.startsWith('#'),
    );
    expect(heading).toBe('## Quick start');
  });

  test('shows the two commands that a newcomer types', () => {
    const shell = document('README.md').fences.filter(({ language }) => language === 'sh');
    const text = shell.map((fence) => fence.text).join('');
    expect(text).toContain('npm ci && npm run demo\n');
    expect(text).toContain('npm ci && npm test\n');
  });
});

/** As the type lists them; that none is missing is checked by the compiler. */
const REAUTHENTICATOR_OPTIONS = Object.keys({
  authenticate: true,
  leadMs: true,
  leadFraction: true,
  jitter: true,
  leaseMs: true,
  attemptTimeoutMs: true,
  minIntervalMs: true,
  backOffMs: true,
  maxBackOffMs: true,
  timeoutMs: true,
  drainMs: true,
  isFatal: true,
  whenCleared: true,
  onDiscarded: true,
  onFailure: true,
} satisfies Record<keyof ReauthenticatorOptions<unknown>, true>);

/** As they are given, not as they are kept. */
function storeOptions(): Record<string, unknown> {
  const { shared, ...own } = resolveStoreOptions({ key: 'key' }, []);
  const { handler: _handler, ...rest } = shared;
  return { ...own, ...rest };
}

describe('docs/reference/defaults.md', () => {
  const headings = [
    'Options of every store',
    'Options of stores on Redis',
    'Options of a Reauthenticator',
  ];
  const rows = headings.flatMap((heading) =>
    tableRows(document('docs/reference/defaults.md'), heading),
  );
  const documented = new Map(rows.map(([name = '', value = '']) => [unquoted(name), value]));

  test('prints the defaults that the code has', async () => {
    const resolved: Record<string, unknown> = {
      ...storeOptions(),
      ...resolveSettings({}),
      ...reauthenticatorDefaults(),
      maxAttempts: await attemptsOfAnUpdate(),
    };
    const printed = [...documented].filter(([, value]) =>
      /^[\d,.]+$|^`(true|false|stay)`$/.test(value),
    );
    expect(printed.length).toBeGreaterThan(10);
    for (const [name, value] of printed)
      expect(`${name} ${value}`).toBe(`${name} ${print(resolved[name])}`);
  });

  test('leaves no option out and invents none', () => {
    const options = [
      ...Object.keys(storeOptions()),
      ...Object.keys(resolveSettings({})),
      ...REAUTHENTICATOR_OPTIONS,
    ];
    expect([...documented.keys()].sort()).toEqual(
      [...new Set([...options, 'maxAttempts', 'in'])].sort(),
    );
  });

  test.each([
    ['Options of derive', resolveDeriveOptions({})],
    ['Options of invalidate', resolveInvalidateOptions({})],
  ])('prints below "%s" the options and defaults that the code has', (heading, resolved) => {
    const table = tableRows(document('docs/reference/defaults.md'), heading);
    expect(table.map(([name = '']) => unquoted(name)).sort()).toEqual(Object.keys(resolved).sort());
    const values = new Map<string, unknown>(Object.entries(resolved));
    for (const [name = '', value = ''] of table) {
      if (!/^[\d,]+$|^`(true|false)`$/.test(value)) continue;
      expect(`${name} ${value}`).toBe(`${name} ${print(values.get(unquoted(name)))}`);
    }
  });

  test('says how many changes an iterator holds', () => {
    const text = document('docs/guides/surprises.md').prose.join(' ');
    expect(text).toContain(`${ITERATOR_BUFFER.toLocaleString('en-US')} changes`);
  });
});

test.each(documents.map((one) => [one.file, one] as const))(
  '%s names the subject of every sentence',
  (_file, { prose }) => {
    const text = prose
      // Cells of a table and headings are paragraphs.
      .map((line) => line.replace(/^\s*[-*>] |^#+ /, '\n\n').replace(/(?<!\\)\|/g, '\n\n'))
      .join('\n')
      .replace(/\*\*|__/g, '')
      .replace(/`[^`]*`/g, 'code');
    expect(headlessSentences(text)).toEqual([]);
  },
);

describe('links in the documents', () => {
  const links = documents.flatMap((one) => one.links);

  test.each(documents.map(({ file }) => [file]))('of %s lead somewhere', async (file) => {
    const broken: string[] = [];
    for (const link of links.filter((one) => one.file === file)) {
      if (!(await leadsSomewhere(link))) broken.push(`${place(link)} ${link.target}`);
    }
    expect(broken).toEqual([]);
  });
});

describe('docs/reference/guarantees.md', () => {
  const GUARANTEES = 14;

  test('names for each guarantee the files of its tests, which exist', async () => {
    const sections = sectionsOf(document('docs/reference/guarantees.md'), /^G\d+ /);
    const numbers = sections.map(({ heading }) => heading.split(' ')[0]);
    expect(numbers).toEqual(Array.from({ length: GUARANTEES }, (_, index) => `G${index + 1}`));
    const existing = new Set(await filesBelow('test', '.test.ts'));
    for (const { heading, links } of sections) {
      const tests = links.map(({ target }) => target.replace(/^(\.\.\/)+/, ''));
      expect(tests.length, heading).toBeGreaterThan(0);
      expect(
        tests.filter((file) => !existing.has(file)),
        heading,
      ).toEqual([]);
    }
  });

  test('is the only document that lists the things that are not promised', () => {
    const headings = documents.flatMap(({ file, prose }) =>
      prose.filter((line) => /^#+ .*not promised/i.test(line)).map(() => file),
    );
    expect(headings).toEqual(['docs/reference/guarantees.md']);
  });
});

test('docs/README.md links to every document below docs', () => {
  const { links } = document('docs/README.md');
  const linked = new Set(links.map(({ target }) => posix.join('docs', target)));
  const files = documents.map(({ file }) => file).filter((file) => file.startsWith('docs/'));
  expect(files.filter((file) => file !== 'docs/README.md' && !linked.has(file))).toEqual([]);
});

test('examples/README.md has a row for every example', async () => {
  const rows = tableRows(document('examples/README.md'), 'Examples');
  const listed = rows.map(([name = '']) => /^\[(.+)\]/.exec(name)?.[1]);
  const files = await filesBelow('examples', '.ts');
  const examples = files
    .map((file) => posix.relative('examples', file))
    .filter((file) => /^\d\d-|\/main\.ts$/.test(file));
  expect(listed.toSorted()).toEqual(examples.toSorted());
});

test('the commands in the documents are scripts of the package', async () => {
  const { scripts } = JSON.parse(await readText('package.json')) as {
    scripts: Record<string, string>;
  };
  const missing = documents.flatMap(({ file, lines }) =>
    lines.flatMap((line) =>
      [...line.matchAll(/npm run ([\w:]+)/g)]
        .map((match) => match[1]!)
        .filter((name) => !(name in scripts))
        .map((name) => `${file}: npm run ${name}`),
    ),
  );
  expect(missing).toEqual([]);
});

/** By the names of the options, in which what is resolved is grouped otherwise. */
function reauthenticatorDefaults(): Record<string, unknown> {
  const { lead, backOff, ...rest } = resolveReauthenticatorOptions({ authenticate: () => 'a' });
  const { initialMs: backOffMs, maxMs: maxBackOffMs } = backOff;
  return { ...rest, ...('ms' in lead && { leadMs: lead.ms }), backOffMs, maxBackOffMs };
}

function unquoted(text: string): string {
  return text.replaceAll('`', '');
}

function print(value: unknown): string {
  return typeof value === 'number' ? value.toLocaleString('en-US') : `\`${String(value)}\``;
}

/** How often an update that always meets another writer calls its function. */
async function attemptsOfAnUpdate(): Promise<number> {
  await using store = new MemoryCredentialStore<number>({ key: 'key' });
  let attempts = 0;
  const update = store.update(async () => {
    attempts += 1;
    await store.save(attempts);
    return -attempts;
  });
  await expect(update).rejects.toMatchObject({ code: 'CONFLICT' });
  return attempts;
}

async function leadsSomewhere({ file, target }: Link): Promise<boolean> {
  if (/^(https?|mailto):/.test(target)) return true;
  const [path = '', anchor] = target.split('#');
  const to = path === '' ? file : posix.join(posix.dirname(file), path);
  if (to.startsWith('..')) return false;
  const names = await readdir(join(ROOT, dirname(to))).catch((): string[] => []);
  if (!names.includes(posix.basename(to)) && to !== '.') return false;
  if (anchor === undefined) return true;
  return documents.some((one) => one.file === to && one.anchors.has(anchor));
}
