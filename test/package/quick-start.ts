import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { REPOSITORY } from './packed-library.js';

/** The first TypeScript fence below the heading "Quick start" of the README: the program people copy. */
export async function readQuickStart(): Promise<string> {
  const readme = await readFile(join(REPOSITORY, 'README.md'), 'utf8');
  const program = /^#+ Quick start$[\s\S]*?^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1];
  if (program === undefined) {
    throw new Error('README.md has no ```ts fence below a heading "Quick start"');
  }
  return program;
}
