import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import type { Fence } from './markdown.js';
import { findDocument, place, readDocuments, readSourceExamples } from './repository.js';
import { openWorkshop, type Workshop } from './run-fence.js';
import { tableRows } from './tables.js';
import { checkFences, type FenceProgram } from './type-check.js';

// A compiler and many programs on a busy machine.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const documents = await readDocuments();
const fences = documents.flatMap((document) => document.fences);
const programs = fences.filter(({ language }) => language === 'ts');

/** What may stand behind `ts`: nothing for a program, or how else it is run. */
const MARKS = ['', 'vitest'];
const LANGUAGES = ['mermaid', 'sh', 'text', 'ts'];

describe('the documents', () => {
  let checked: FenceProgram;
  let workshop: Workshop;
  beforeAll(async () => {
    checked = checkFences([...programs, ...(await readSourceExamples())]);
    workshop = await openWorkshop();
  });
  afterAll(() => workshop[Symbol.asyncDispose]());

  test('contain programs that compile, and so do the examples in the sources', async () => {
    expect((await readSourceExamples()).length).toBeGreaterThan(0);
    expect(checked.complaints).toEqual([]);
  });

  test('mark programs with nothing but the words that this test knows', () => {
    const marks = new Set(programs.map(({ meta }) => meta));
    expect([...marks].filter((mark) => !MARKS.includes(mark))).toEqual([]);
    const languages = new Set(fences.map(({ language }) => language));
    expect([...languages].filter((one) => !LANGUAGES.includes(one))).toEqual([]);
  });

  const marked = (mark: string): [string, Fence][] =>
    programs.filter(({ meta }) => meta === mark).map((fence) => [place(fence), fence]);

  test.each(marked(''))(
    'contain a program that runs and ends by itself: %s',
    async (_place, fence) => {
      const printed = await workshop.run(fence, inject('redisUrl'));
      expect(printed).toBe(fence.prints ?? '');
    },
  );

  test('contain tests that pass', async () => {
    const tests = programs.filter(({ meta }) => meta === 'vitest');
    expect(await workshop.test(tests)).toEqual(tests.map(() => ['passed']));
  });

  test.each([
    ['docs/reference/errors.md', 'Codes', 'CredstreamErrorCode'],
    ['docs/reference/errors.md', 'Reasons of an EncodeError', 'EncodeFailure'],
    ['docs/reference/errors.md', 'Reasons of an UnreadableError', 'UnreadableReason'],
    ['docs/reference/errors.md', 'Reasons of a ReauthenticationError', 'ReauthenticationFailure'],
    ['docs/guides/re-authentication.md', 'When it happens', 'ReauthenticationCause'],
    ['docs/guides/re-authentication.md', 'Discarded results', 'DiscardReason'],
    ['docs/reference/semantics.md', 'Changes', 'CredentialChangeType'],
    ['docs/reference/semantics.md', 'Notification modes', 'NotificationMode'],
  ])('%s lists below "%s" the contents of %s, and nothing else', (file, heading, union) => {
    const rows = tableRows(findDocument(documents, file), heading);
    const listed = rows.map(([name = '']) => name.replaceAll('`', ''));
    expect(listed.sort()).toEqual([...checked.membersOf(union)].sort());
  });
});
