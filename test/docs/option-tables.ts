import { format, resolveConfig } from 'prettier';

import { DERIVE_EACH_OPTIONS } from '../../src/derived/derive-each.js';
import { INVALIDATE_OPTIONS } from '../../src/derived/invalidation/options.js';
import { DERIVE_OPTIONS, WAIT_OPTIONS } from '../../src/derived/options.js';
import { MEMORY_OPTIONS } from '../../src/memory/credential-memory.js';
import { IN_MEMORY_OPTIONS } from '../../src/memory/options.js';
import { AUTHORIZED_FETCH_OPTIONS } from '../../src/reauthentication/calls/authorized-fetch.js';
import {
  CREDENTIALS_OPTIONS,
  REAUTHENTICATOR_OPTIONS,
  USE_OPTIONS,
} from '../../src/reauthentication/options.js';
import { REAUTHENTICATOR_POOL_OPTIONS } from '../../src/reauthentication/pool.js';
import { CONNECTION_OPTIONS } from '../../src/redis/connection-options.js';
import { CLEAR_ALL_OPTIONS, DIRECTORY_OPTIONS } from '../../src/stores/directory/options.js';
import { READY_OPTIONS, STORE_OPTIONS } from '../../src/stores/options.js';
import { CONTRACT_OPTIONS } from '../../src/testing/credential-store-contract.js';
import { VIRTUAL_CLOCK_OPTIONS } from '../../src/testing/virtual-clock.js';
import type { OptionRows } from '../../src/util/options.js';
import { CLEAR_OPTIONS, SAVE_OPTIONS, UPDATE_OPTIONS } from '../../src/writing/options.js';

/** The page that shows the tables, in a frame that is written by hand. */
export const DEFAULTS_PAGE = 'docs/reference/defaults.md';

/** All tables by their names in the sources. */
export const OPTION_TABLES: Readonly<Record<string, OptionRows>> = {
  STORE_OPTIONS,
  READY_OPTIONS,
  SAVE_OPTIONS,
  UPDATE_OPTIONS,
  CLEAR_OPTIONS,
  DIRECTORY_OPTIONS,
  CLEAR_ALL_OPTIONS,
  CONNECTION_OPTIONS,
  IN_MEMORY_OPTIONS,
  MEMORY_OPTIONS,
  DERIVE_OPTIONS,
  WAIT_OPTIONS,
  DERIVE_EACH_OPTIONS,
  INVALIDATE_OPTIONS,
  REAUTHENTICATOR_OPTIONS,
  CREDENTIALS_OPTIONS,
  USE_OPTIONS,
  AUTHORIZED_FETCH_OPTIONS,
  REAUTHENTICATOR_POOL_OPTIONS,
  VIRTUAL_CLOCK_OPTIONS,
  CONTRACT_OPTIONS,
};

/** Where the page shows a table: `<!-- options NAME -->`, the table, `<!-- end -->`. */
const PLACE = /<!-- options (\w+) -->[^]*?<!-- end -->/g;

/** The tables that a page shows. */
export function tablesShown(page: string): readonly string[] {
  return [...page.matchAll(PLACE)].map((match) => match[1]!);
}

/** The page with its tables as the code has them. A row that an earlier table on the page has is not shown again. */
export async function withTables(page: string): Promise<string> {
  const shown = new Set<unknown>();
  const text = page.replace(PLACE, (_all, name: string) => {
    const table = OPTION_TABLES[name];
    if (table === undefined) throw new Error(`${DEFAULTS_PAGE} shows ${name}, which is no table`);
    const rows = Object.entries(table).filter(([, row]) => !shown.has(row));
    for (const [, row] of rows) shown.add(row);
    const lines = [
      ['option', 'default', 'values', 'cost of a change'],
      ['---', '---', '---', '---'],
      ...rows.map(([option, row]) => [`\`${option}\``, defaultOf(row), row.range, row.cost]),
    ].map((cells) => `| ${cells.join(' | ')} |`);
    return [`<!-- options ${name} -->`, ...lines, '<!-- end -->']
      .join('\n\n')
      .replaceAll('|\n\n|', '|\n|');
  });
  return format(text, { ...(await resolveConfig(import.meta.filename)), parser: 'markdown' });
}

function defaultOf(row: OptionRows[string]): string {
  if (row.required) return 'required';
  const { default: value, shown } = row;
  if (shown !== undefined) return shown;
  if (value === undefined) return 'none';
  return typeof value === 'number'
    ? value.toLocaleString('en-US')
    : `\`${JSON.stringify(value).replaceAll('"', '')}\``;
}
