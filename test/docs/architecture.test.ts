import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { findDocument, filesBelow, readDocuments, readText, ROOT } from './repository.js';
import { sectionsOf, type Section } from './sections.js';

const FILE = 'docs/inside/architecture.md';
const WALKS = [
  'From a hint to a subscriber',
  'From `save` to the wire',
  'Expiry',
  "From the provider's answer to the commit",
  'A change of an id that no store has opened',
];

const architecture = findDocument(await readDocuments(), FILE);

/** Each path below `src` once, in the order of the text. */
function pathsIn(lines: readonly string[]): readonly string[] {
  const paths = [...lines.join('\n').matchAll(/`(src\/[\w./-]+)`/g)].map((match) => match[1]!);
  return [...new Set(paths)];
}

describe(FILE, () => {
  test('names no file of the sources that does not exist', async () => {
    const files = await filesBelow('src', '.ts');
    const exists = (path: string): boolean =>
      files.some((file) => file === path || file.startsWith(`${path}/`));
    const named = pathsIn(architecture.prose);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((path) => !exists(path))).toEqual([]);
  });

  test.each(WALKS)('describes each walk in at most 15 files: %s', (heading) => {
    const [walk] = sectionsOf(architecture, /./).filter((one: Section) => one.heading === heading);
    const files = pathsIn(walk?.prose ?? []);
    expect(files.length).toBeGreaterThan(5);
    expect(files.length).toBeLessThanOrEqual(15);
  });

  test.each([
    ['src', 0],
    ['src/redis', 1],
  ])('draws every room of %s', async (folder, drawing) => {
    const text = architecture.fences.filter(({ language }) => language === 'text')[drawing]?.text;
    const entries = await readdir(join(ROOT, folder), { withFileTypes: true });
    const rooms = entries.map((entry) => `${entry.name}${entry.isDirectory() ? '/' : ''}`);
    expect(rooms.filter((room) => !text?.includes(room))).toEqual([]);
  });

  test('draws the floors in the order in which imports are checked', async () => {
    const config = await readText('.dependency-cruiser.cjs');
    const [, list = ''] = /const FLOORS = \[([\s\S]*?)\n\];/.exec(config) ?? [];
    const floors = [...list.matchAll(/\[(.*)\]/g)].map(([, rooms = '']) =>
      [...rooms.matchAll(/'([^']+)'/g)].map(([, room = '']) =>
        room.endsWith('.ts') ? room : `${room}/`,
      ),
    );
    const [drawing] = architecture.fences.filter(({ language }) => language === 'text');
    const drawn = (drawing?.text ?? '').split(/^(?:floor)? +(?=\d+ )/m).slice(1);
    expect(drawn.length).toBe(floors.length);
    for (const [index, text] of drawn.toReversed().entries()) {
      expect(Number.parseInt(text, 10)).toBe(index + 1);
      for (const room of floors[index]!) expect(text).toContain(room);
    }
  });
});
