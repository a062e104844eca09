import { readdirSync } from 'node:fs';
import { basename } from 'node:path';

import ts from 'typescript';
import { describe, expect, it } from 'vitest';

import {
  ALLOWED,
  compare,
  exportsOf,
  isExported,
  kebab,
  parse,
  read,
  roomOf,
  SOURCES,
} from './names.js';

const MOST_AT_THE_ROOT = 18;
const MOST_IN_A_FOLDER = 14;
const MOST_LINES_OF_A_TEST_FILE = 400;

describe('the layout of src', () => {
  it('has few entries in every folder', () => {
    const folders = new Set(SOURCES.flatMap((file) => parentsOf(file)));
    const crowded = [...folders].flatMap((folder) => {
      const count = readdirSync(new URL(`../../../${folder}`, import.meta.url)).length;
      return count > (folder === 'src' ? MOST_AT_THE_ROOT : MOST_IN_A_FOLDER)
        ? [[folder, count] as const]
        : [];
    });
    for (const [folder, count] of crowded)
      expect(count, folder).toBeLessThanOrEqual(ALLOWED.folders[folder] ?? 0);
    const { outdated } = compare(
      crowded.map(([folder]) => folder),
      Object.keys(ALLOWED.folders),
    );
    expect(outdated, 'allowed folders that are small enough').toEqual([]);
  });

  it('names a file of one class after the class', () => {
    const misnamed = SOURCES.filter((file) => {
      const classes = exportsOf(file).filter(({ kind }) => kind === 'class');
      const base = basename(file, '.ts');
      return classes.length === 1 && !classes.some(({ name }) => isNamedAfter(base, name, file));
    });
    const { offenders, outdated } = compare(misnamed, ALLOWED.fileNames);
    expect(offenders, 'files with another name than their class').toEqual([]);
    expect(outdated, 'allowed files that are named well').toEqual([]);
  });

  it('repeats no room as the prefix of a file in it', () => {
    const repeating = SOURCES.filter((file) => {
      const room = roomOf(file);
      return [room, room.replace(/s$/, ''), room.replace(/ies$/, 'y')].some((prefix) =>
        basename(file).startsWith(`${prefix}-`),
      );
    });
    const { offenders, outdated } = compare(repeating, ALLOWED.roomPrefixes);
    expect(offenders, 'files that repeat their room').toEqual([]);
    expect(outdated, 'allowed files that repeat nothing').toEqual([]);
  });

  it('explains an interface whose one implementor stands in its own room', () => {
    const { offenders, outdated } = compare(soleImplementors(), ALLOWED.soleImplementors);
    expect(offenders, 'interfaces without a comment why').toEqual([]);
    expect(outdated, 'allowed interfaces that need no comment').toEqual([]);
  });
});

describe('the layout of test', () => {
  it('has no file with too many lines', () => {
    const root = new URL('../../', import.meta.url);
    const long = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `test/${path.replaceAll('\\', '/')}`)
      .filter((file) => read(file).trimEnd().split('\n').length > MOST_LINES_OF_A_TEST_FILE);
    expect(long).toEqual([]);
  });
});

function parentsOf(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

/** `redis/backend.ts` exports `RedisBackend`, `redis/servers/server.ts` exports `Server`. */
function isNamedAfter(base: string, name: string, file: string): boolean {
  const own = kebab(name);
  return (
    `-${own}-`.includes(`-${base}-`) || own === `${base}s` || own === `${roomOf(file)}-${base}`
  );
}

/** Exported interfaces without a comment that exactly one class implements, in the same room. */
function soleImplementors(): string[] {
  const implementors = new Map<string, string[]>();
  for (const file of SOURCES)
    parse(file).forEachChild(function visit(node): void {
      if (ts.isClassDeclaration(node))
        for (const clause of node.heritageClauses ?? [])
          if (clause.token === ts.SyntaxKind.ImplementsKeyword)
            for (const { expression } of clause.types) {
              const name = expression.getText();
              implementors.set(name, [...(implementors.get(name) ?? []), file]);
            }
      node.forEachChild(visit);
    });
  return SOURCES.flatMap((file) =>
    parse(file).statements.flatMap((statement) => {
      if (!ts.isInterfaceDeclaration(statement) || !isExported(statement)) return [];
      const [only, ...others] = implementors.get(statement.name.text) ?? [];
      if (only === undefined || others.length > 0 || roomOf(only) !== roomOf(file)) return [];
      const comments = ts.getLeadingCommentRanges(read(file), statement.getFullStart()) ?? [];
      return comments.length > 0 ? [] : [`${file}: ${statement.name.text}`];
    }),
  );
}
