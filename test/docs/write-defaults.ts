import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DEFAULTS_PAGE, withTables } from './option-tables.js';
import { readText, ROOT } from './repository.js';

await writeFile(join(ROOT, DEFAULTS_PAGE), await withTables(await readText(DEFAULTS_PAGE)));
