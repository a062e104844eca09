import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Document, type Fence, fencesOfComments, readMarkdown } from './markdown.js';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Written by tools, which check them themselves. */
const GENERATED = ['docs/reference/api', 'docs/inside/api-report'];

/** The documents that people wrote: at the top, below `docs`, and below `examples`. */
export async function readDocuments(): Promise<readonly Document[]> {
  const top = (await readdir(ROOT)).filter((name) => name.endsWith('.md'));
  const below = (await filesBelow('docs', '.md')).filter(
    (file) => !GENERATED.some((folder) => file.startsWith(`${folder}/`)),
  );
  const examples = await filesBelow('examples', '.md');
  return Promise.all(
    [...top, ...below, ...examples].map(async (file) => readMarkdown(file, await readText(file))),
  );
}

export function findDocument(documents: readonly Document[], file: string): Document {
  const found = documents.find((one) => one.file === file);
  if (found === undefined) throw new Error(`${file} is missing`);
  return found;
}

/** Where something stands, as editors open it. */
export function place({ file, line }: { readonly file: string; readonly line: number }): string {
  return `${file}:${line}`;
}

/** The examples in the sources of the library. */
export async function readSourceExamples(): Promise<readonly Fence[]> {
  const files = await filesBelow('src', '.ts');
  const each = await Promise.all(
    files.map(async (file) => fencesOfComments(file, await readText(file))),
  );
  return each.flat();
}

/** Paths from the top of the repository, with slashes. */
export async function filesBelow(folder: string, ending: string): Promise<readonly string[]> {
  const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

export function readText(file: string): Promise<string> {
  return readFile(join(ROOT, file), 'utf8');
}
