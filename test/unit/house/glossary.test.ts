import { describe, expect, it } from 'vitest';

import { ALLOWED, compare, exportsOf, read, SOURCES } from './names.js';

/** Words of the glossary: the defined ones, and the parts of names in its last section. */
function glossaryWords(text: string): string[] {
  const defined = [...text.matchAll(/^- \*\*([^*]+)\*\*:/gm)].flatMap(([, words = '']) =>
    words.split(/[^a-z0-9]+/i),
  );
  const [, parts = ''] = text.split('## Words of TypeScript names');
  return [...defined, ...[...parts.matchAll(/`([a-z]+)`/g)].map(([, word = '']) => word)].map(
    (word) => word.toLowerCase(),
  );
}

/** A word and its stems: `closed` → `close`, `waiting` → `wait`, `entries` → `entry`. */
function formsOf(word: string): string[] {
  const stems = [/s$/, /es$/, /d$/, /ed$/, /r$/, /ing$/].map((ending) => word.replace(ending, ''));
  return [word, word.replace(/ies$/, 'y'), word.replace(/ing$/, 'e'), ...stems];
}

describe('the glossary', () => {
  const glossary = read('docs/inside/glossary.md');
  const words = new Set(glossaryWords(glossary));

  it('defines every word once', () => {
    const defined = [...glossary.matchAll(/^- \*\*([^*]+)\*\*:/gm)].map(([, word]) => word);
    expect(defined.length).toBeGreaterThan(100);
    expect(new Set(defined).size).toBe(defined.length);
  });

  it('has the words of every exported class and interface', () => {
    const unknown = new Set<string>();
    for (const { name, kind } of SOURCES.flatMap(exportsOf)) {
      if (kind !== 'class' && kind !== 'interface') continue;
      for (const word of name.match(/[A-Z][a-z0-9]*/g) ?? [])
        if (!formsOf(word.toLowerCase()).some((form) => words.has(form)))
          unknown.add(word.toLowerCase());
    }
    const { offenders, outdated } = compare([...unknown].sort(), ALLOWED.glossary);
    expect(offenders, 'words without a definition').toEqual([]);
    expect(outdated, 'allowed words that no name needs any longer').toEqual([]);
  });
});
