import { describe, expect, test } from 'vitest';

import { MemoryCredentialStore } from 'credstream';

import type { OptionRows } from '../../src/util/options.js';
import { UPDATE_OPTIONS } from '../../src/writing/options.js';
import { DEFAULTS_PAGE, OPTION_TABLES, tablesShown, withTables } from './option-tables.js';
import { filesBelow, readText } from './repository.js';

const files = await filesBelow('src', '.ts');
const sources = (await Promise.all(files.map(readText))).join('\n');
const page = await readText(DEFAULTS_PAGE);

/** The tables in the sources: their names, and the interfaces that they are of. */
const declared = [...sources.matchAll(/export const (\w+): OptionsTable<\s*(\w+)/g)].map(
  ([, table = '', type = '']) => ({ table, type }),
);

describe(DEFAULTS_PAGE, () => {
  test('shows the tables of the code: `npm run docs:defaults` updates the page', async () => {
    expect(page).toBe(await withTables(page));
  });

  test('shows every table of the sources once', () => {
    const names = declared.map(({ table }) => table).sort();
    expect(names.length).toBeGreaterThan(10);
    expect(Object.keys(OPTION_TABLES).sort()).toEqual(names);
    expect([...tablesShown(page)].sort()).toEqual(names);
  });
});

describe('docstrings of options', () => {
  test.each(declared)('of $type give the defaults of $table', ({ table, type }) => {
    const rows = OPTION_TABLES[table]!;
    const wrong = statedDefaults(type)
      .filter(([name]) => name in rows)
      .filter(([name, stated]) => stated !== String(defaultOf(rows, name)));
    expect(wrong).toEqual([]);
  });

  test('give a default for most options', () => {
    expect(declared.flatMap(({ type }) => statedDefaults(type)).length).toBeGreaterThan(30);
  });
});

test('update() makes as many attempts as its table says', async () => {
  await using store = new MemoryCredentialStore<number>({ key: 'key' });
  let attempts = 0;
  const update = store.update(async () => {
    attempts += 1;
    await store.save(attempts);
    return -attempts;
  });
  await expect(update).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(attempts).toBe(UPDATE_OPTIONS.maxAttempts.default);
});

/** The numbers and flags that the docstrings of an interface give for defaults. */
function statedDefaults(type: string): readonly (readonly [name: string, value: string])[] {
  const body = new RegExp(`export interface ${type}\\b[^]*?\\n}`).exec(sources)?.[0] ?? '';
  return [...body.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s*readonly (\w+)\??:/g)].flatMap(
    ([, comment = '', name = '']) => {
      const text = comment.replaceAll(/\s*\n\s*\* ?/g, ' ');
      const stated = /[Dd]efault `?([\d,]+(?:\.\d+)?|true|false|stay)\b/.exec(text)?.[1];
      return stated === undefined ? [] : [[name, stated.replaceAll(',', '')] as const];
    },
  );
}

function defaultOf(rows: OptionRows, name: string): unknown {
  const row = rows[name];
  return row?.required === false ? row.default : undefined;
}
