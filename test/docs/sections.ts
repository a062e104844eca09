import type { Document, Link } from './markdown.js';

/** A part of a document, from its heading to the next heading of any depth. */
export interface Section {
  readonly heading: string;
  readonly prose: readonly string[];
  readonly links: readonly Link[];
}

/** The sections whose heading fits, in the order of the document. */
export function sectionsOf({ prose, links }: Document, heading: RegExp): readonly Section[] {
  const starts = prose.flatMap((line, index) => (/^#{1,6} /.test(line) ? [index] : []));
  return starts.flatMap((start, index) => {
    const text = prose[start]!.replace(/^#+ /, '');
    if (!heading.test(text)) return [];
    const end = starts[index + 1] ?? prose.length;
    // Lines of links count from 1.
    const own = links.filter(({ line }) => line > start && line <= end);
    return [{ heading: text, prose: prose.slice(start + 1, end), links: own }];
  });
}
