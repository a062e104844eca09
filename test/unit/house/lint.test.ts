import { readFileSync } from 'node:fs';

import { ESLint, RuleTester } from 'eslint';
import { describe, expect, it } from 'vitest';

import { house } from '../../support/lint/house.js';

const ROOT = new URL('../../../', import.meta.url);
const ALLOWED = JSON.parse(
  readFileSync(new URL('test/support/lint/allow-lists.json', ROOT), 'utf8'),
) as { readonly plainEnglish: readonly string[]; readonly classSize: readonly string[] };

RuleTester.describe = describe;
RuleTester.it = it;
const tester = new RuleTester({ languageOptions: { ecmaVersion: 2023 } });

tester.run('plain-english', house.rules['plain-english'], {
  valid: [
    '// A user with write but no read permission skips the type check.',
    '// Who is asking?',
    '// The store of those who came late.',
    '/** Whether the key is there. */',
    '/** That the server answers is enough. */',
    '/** As `save`.\n * ```ts\n * // Who cares\n * ```\n */',
    '// Calls `fn`. `what` is its name.',
    'const text = "Who may write but not read writes unseen.";',
  ],
  invalid: [
    '// Who may write but not read writes unseen.',
    '// Whoever is told may close again.',
    '/** What is known of a key. */',
    '/** A key. Those that were used last come last. */',
    '/**\n * The line breaks: what\n * follows. Nobody\n * waits.\n */',
    '/**\n * A key.\n *\n * @param keep - whoever is told may close again\n */',
    '/** @returns what lets go */',
    '// The first line is fine.\n// Whose reply it was is not known.',
    '/** A list:\n * - Which one is the newest.\n */',
    '/** That of the key. */',
  ].map((code) => ({ code, errors: 1 })),
});

tester.run('class-size', house.rules['class-size'], {
  valid: [
    {
      code: 'class A { a; b; c() {} get d() {} set d(_) {} }',
      options: [{ methods: 2, fields: 2 }],
    },
    { code: 'class A { constructor() {} #a() {} }', options: [{ methods: 1, fields: 0 }] },
  ],
  invalid: [
    { code: 'class A { a; #a; }', options: [{ methods: 9, fields: 1 }], errors: 1 },
    { code: 'class A { a() {} static b() {} }', options: [{ methods: 1, fields: 9 }], errors: 1 },
  ],
});

describe('the allow-lists of the local rules', () => {
  it('name only files that still break the rule', async () => {
    const files = [...new Set([...ALLOWED.plainEnglish, ...ALLOWED.classSize])];
    const eslint = new ESLint({
      cwd: ROOT.pathname,
      overrideConfigFile: 'test/support/lint/everywhere.config.js',
    });
    const results = files.length === 0 ? [] : await eslint.lintFiles(files);
    const offenders = (rule: string): string[] =>
      results
        .filter(({ messages }) => messages.some(({ ruleId }) => ruleId === rule))
        .map(({ filePath }) => filePath.slice(ROOT.pathname.length));

    for (const file of ALLOWED.plainEnglish)
      expect(offenders('house/plain-english')).toContain(file);
    for (const file of ALLOWED.classSize) expect(offenders('house/class-size')).toContain(file);
    expect(results).toHaveLength(files.length);
  });
});
