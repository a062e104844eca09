import { readdir } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';

import { describe, expect, test } from 'vitest';

import { ITERATOR_BUFFER } from '../../src/stores/change-iterator.js';
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

test('docs/guides/surprises.md says how many changes an iterator holds', () => {
  const text = document('docs/guides/surprises.md').prose.join(' ');
  expect(text).toContain(`${ITERATOR_BUFFER.toLocaleString('en-US')} changes`);
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
  const GUARANTEES = 17;

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

  test('is the only document that lists missing guarantees', () => {
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
