import { join } from 'node:path';

import ts from 'typescript';

import type { Fence } from './markdown.js';
import { ROOT } from './repository.js';

/** The fences as one program with the library's sources; each is a module of its own. */
export interface FenceProgram {
  /** What the compiler complains about in each fence, by its place in the document. */
  readonly complaints: readonly string[];
  /** The members of a union of string literals that the library exports. */
  membersOf(exported: string): readonly string[];
}

export function checkFences(fences: readonly Fence[]): FenceProgram {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(ROOT, 'tsconfig.json'),
    // What an example does not go on to use is still worth showing.
    { noUnusedLocals: false, noUnusedParameters: false, noPropertyAccessFromIndexSignature: false },
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (one) => fail(textOf(one)) },
  );
  if (config === undefined) fail('tsconfig.json could not be read');
  const virtual = new Map(
    fences.map((fence, index) => [join(ROOT, 'docs', `fence-${index}.ts`), fence]),
  );
  const host = ts.createCompilerHost(config.options);
  const { fileExists, readFile } = host;
  host.fileExists = (file) => virtual.has(file) || fileExists(file);
  // An empty export makes a module of a fence without imports.
  const textFor = (fence: Fence): string => `${fence.text}\nexport {};\n`;
  host.readFile = (file) => {
    const fence = virtual.get(file);
    return fence === undefined ? readFile(file) : textFor(fence);
  };
  host.getSourceFile = (file, languageVersion) => {
    const text = host.readFile(file);
    return text === undefined ? undefined : ts.createSourceFile(file, text, languageVersion, true);
  };
  const entry = join(ROOT, 'src/index.ts');
  const program = ts.createProgram([...virtual.keys(), entry], config.options, host);
  const complaints = [...virtual].flatMap(([file, fence]) => {
    const source = program.getSourceFile(file);
    if (source === undefined) return [`${fence.file}:${fence.line}: was not compiled`];
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    return found.map((one) => {
      const line = source.getLineAndCharacterOfPosition(one.start ?? 0).line + fence.line;
      return `${fence.file}:${line}: ${textOf(one)}`;
    });
  });
  return { complaints, membersOf: (exported) => membersOf(program, entry, exported) };
}

function membersOf(program: ts.Program, entry: string, exported: string): readonly string[] {
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  const alias = module && checker.getExportsOfModule(module).find(({ name }) => name === exported);
  if (alias === undefined) fail(`src/index.ts does not export ${exported}`);
  const symbol = alias.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(alias) : alias;
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  const members = type.isUnion() ? type.types : [type];
  return members.map((one) => {
    if (!one.isStringLiteral()) fail(`${exported} is not a union of string literals`);
    return one.value;
  });
}

function textOf(diagnostic: ts.Diagnostic): string {
  return `TS${diagnostic.code} ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`;
}

function fail(message: string): never {
  throw new Error(message);
}
