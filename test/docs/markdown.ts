/** A fenced block of a document, or of an `@example` in a source. */
export interface Fence {
  /** Path from the top of the repository. */
  readonly file: string;
  /** Line of the file, from 1, in which the text begins. */
  readonly line: number;
  /** First word behind the backticks. */
  readonly language: string;
  /** What follows the language. */
  readonly meta: string;
  readonly text: string;
  /** The text of the `text` fence that follows in the same section: what the program prints. */
  readonly prints: string | undefined;
}

/** A link of a document. */
export interface Link {
  readonly file: string;
  readonly line: number;
  readonly target: string;
}

/** What a Markdown file holds, as far as tests look at it. */
export interface Document {
  readonly file: string;
  readonly lines: readonly string[];
  readonly fences: readonly Fence[];
  readonly links: readonly Link[];
  /** What may stand behind `#` in a link to it. */
  readonly anchors: ReadonlySet<string>;
  /** The lines outside fences, with the others blank. */
  readonly prose: readonly string[];
}

interface OpenFence {
  readonly ticks: string;
  readonly info: string;
  readonly line: number;
  readonly text: string[];
}

export function readMarkdown(file: string, text: string): Document {
  const lines = text.split('\n');
  const prose: string[] = [];
  const blocks: (Fence & { readonly section: number })[] = [];
  let open: OpenFence | undefined;
  let section = 0;
  for (const [index, line] of lines.entries()) {
    const ticks = /^(`{3,})(.*)$/.exec(line);
    prose.push(open === undefined && ticks === null ? line : '');
    if (open === undefined) {
      if (ticks !== null)
        open = { ticks: ticks[1]!, info: ticks[2]!.trim(), line: index + 2, text: [] };
      else if (/^#{1,6} /.test(line)) section += 1;
    } else if (line.trimEnd() === open.ticks) {
      blocks.push({ ...toFence(file, open), section });
      open = undefined;
    } else {
      open.text.push(line);
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line - 1}: the fence is never closed`);
  const fences = blocks.map(({ section: at, ...fence }, index) => {
    const next = blocks[index + 1];
    const prints = next?.language === 'text' && next.section === at ? next.text : undefined;
    return { ...fence, prints };
  });
  return { file, lines, fences, prose, links: linksOf(file, prose), anchors: anchorsOf(prose) };
}

/** The fences in the TSDoc comments of a source. */
export function fencesOfComments(file: string, source: string): readonly Fence[] {
  const fences: Fence[] = [];
  let open: OpenFence | undefined;
  for (const [index, line] of source.split('\n').entries()) {
    const comment = /^\s*\* ?(.*)$/.exec(line)?.[1];
    if (comment === undefined) {
      if (open !== undefined)
        throw new Error(`${file}:${open.line - 1}: the fence is never closed`);
      continue;
    }
    const ticks = /^(`{3,})(.*)$/.exec(comment);
    if (open === undefined) {
      if (ticks !== null)
        open = { ticks: ticks[1]!, info: ticks[2]!.trim(), line: index + 2, text: [] };
    } else if (comment.trimEnd() === open.ticks) {
      fences.push({ ...toFence(file, open), prints: undefined });
      open = undefined;
    } else {
      open.text.push(comment);
    }
  }
  return fences;
}

function toFence(file: string, { info, line, text }: OpenFence): Fence {
  const [language = '', ...meta] = info.split(/\s+/);
  return {
    file,
    line,
    language,
    meta: meta.join(' '),
    text: text.map((one) => `${one}\n`).join(''),
    prints: undefined,
  };
}

function linksOf(file: string, prose: readonly string[]): readonly Link[] {
  return prose.flatMap((line, index) => {
    const text = withoutCode(line);
    const targets = [
      ...[...text.matchAll(/\]\(<?([^)\s>]*)>?(?: "[^"]*")?\)/g)].map((match) => match[1]!),
      ...[...text.matchAll(/^\[[^\]]+\]:\s+(\S+)/g)].map((match) => match[1]!),
    ];
    return targets.map((target) => ({ file, line: index + 1, target }));
  });
}

/** As GitHub makes them. */
function anchorsOf(prose: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const line of prose) {
    const heading = /^#{1,6} (.*)$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .trim()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let more = 1; anchors.has(anchor); more += 1) anchor = `${slug}-${more}`;
    anchors.add(anchor);
  }
  return anchors;
}

function withoutCode(line: string): string {
  return line.replace(/(`+)[^`]*\1(?!`)/g, (code) => ' '.repeat(code.length));
}
