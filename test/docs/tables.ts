import type { Document } from './markdown.js';

/** The rows of the first table below a heading, without its head; each as its cells. */
export function tableRows({ file, prose }: Document, heading: string): readonly string[][] {
  const start = prose.findIndex(
    (line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading,
  );
  if (start === -1) throw new Error(`${file} has no heading "${heading}"`);
  const table: string[] = [];
  for (const line of prose.slice(start + 1)) {
    if (line.startsWith('|')) table.push(line);
    else if (table.length > 0 || line.startsWith('#')) break;
  }
  if (table.length < 3) throw new Error(`${file} has no table below "${heading}"`);
  return table.slice(2).map((line) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}
