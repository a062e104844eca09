import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import ts from 'typescript';

const ROOT = new URL('../../../', import.meta.url);

/** An exported declaration of a file of `src`. */
export interface Exported {
  readonly file: string;
  readonly name: string;
  readonly kind: 'class' | 'interface' | 'type' | 'value';
}

interface AllowLists {
  readonly glossary: readonly string[];
  readonly fileNames: readonly string[];
  readonly roomPrefixes: readonly string[];
  readonly folders: Readonly<Record<string, number>>;
  readonly soleImplementors: readonly string[];
}

/** The exceptions of the house tests. Each list only shrinks: an entry that is needed no longer fails its test. */
export const ALLOWED = JSON.parse(read('test/support/lint/allow-lists.json')) as AllowLists;

export function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** Every file of `src`, as a path from the root of the repository. */
export const SOURCES: readonly string[] = readdirSync(new URL('src', ROOT), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((path) => path.endsWith('.ts'))
  .map((path) => `src/${path.replaceAll('\\', '/')}`)
  .sort();

const parsed = new Map<string, ts.SourceFile>();

export function parse(file: string): ts.SourceFile {
  let source = parsed.get(file);
  if (source === undefined) {
    source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true);
    parsed.set(file, source);
  }
  return source;
}

export function exportsOf(file: string): Exported[] {
  return parse(file).statements.flatMap((statement) =>
    isExported(statement) ? named(statement, file) : [],
  );
}

export function isExported(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
  );
}

function named(statement: ts.Statement, file: string): Exported[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => ({
      file,
      name: name.getText(),
      kind: 'value',
    }));
  if (ts.isClassDeclaration(statement) && statement.name)
    return [{ file, name: statement.name.text, kind: 'class' }];
  if (ts.isInterfaceDeclaration(statement))
    return [{ file, name: statement.name.text, kind: 'interface' }];
  if (ts.isTypeAliasDeclaration(statement))
    return [{ file, name: statement.name.text, kind: 'type' }];
  if (ts.isFunctionDeclaration(statement) && statement.name)
    return [{ file, name: statement.name.text, kind: 'value' }];
  return [];
}

/** `WatchedKeys` → `watched-keys`. */
export function kebab(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase();
}

export function roomOf(file: string): string {
  return basename(dirname(file));
}

/** Splits a list into what an allow-list does not explain, and the entries of it that explain nothing. */
export function compare(
  found: readonly string[],
  allowed: readonly string[],
): { readonly offenders: string[]; readonly outdated: string[] } {
  return {
    offenders: found.filter((one) => !allowed.includes(one)),
    outdated: allowed.filter((one) => !found.includes(one)),
  };
}
