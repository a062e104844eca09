import { defineConfig, globalIgnores } from 'eslint/config';
import rxjsX from 'eslint-plugin-rxjs-x';
import tsdoc from 'eslint-plugin-tsdoc';
import tseslint from 'typescript-eslint';

import allowed from './test/support/lint/allow-lists.json' with { type: 'json' };
import { house } from './test/support/lint/house.js';

const SOURCE = 'src/**/*.ts';
const AROUND = ['test/**/*.ts', 'examples/**/*.ts', 'vitest.config.ts'];

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'temp/', '.cache/', 'docs/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },

  {
    files: ['**/*.ts'],
    extends: [
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
      rxjsX.configs.recommended,
    ],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // `import { type A }` alone stays in the output as an import for its side effects.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // The reason of an AbortSignal is rethrown as it is, and it may be anything.
      '@typescript-eslint/only-throw-error': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      // Loops over awaits that end by `return` or `break` are how a retry is written.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // The internal overload of a constructor has its own comment, and the build strips it.
      '@typescript-eslint/unified-signatures': [
        'error',
        { ignoreOverloadsWithDifferentJSDoc: true },
      ],
      // `Record<string, T>` and `{ [id: string]: T }` say different things to a reader.
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      // isolatedDeclarations asks for types that this one calls trivial.
      '@typescript-eslint/no-inferrable-types': 'off',
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
        { selector: 'TSModuleDeclaration[kind="namespace"]', message: 'Use a module.' },
      ],
      'rxjs-x/finnish': [
        'error',
        {
          functions: false,
          methods: false,
          objects: false,
          parameters: false,
          properties: true,
          variables: true,
          strict: false,
        },
      ],
    },
  },

  {
    files: [SOURCE],
    plugins: { house, tsdoc },
    rules: {
      'tsdoc/syntax': 'error',
      'house/plain-english': 'error',
      'house/class-size': ['error', { methods: 20, fields: 10 }],
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
        { selector: 'TSModuleDeclaration[kind="namespace"]', message: 'Use a module.' },
        { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
      ],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'rxjs-x/no-exposed-subjects': 'error',
      'rxjs-x/no-floating-observables': 'error',
      'rxjs-x/no-ignored-subscription': 'error',
      'rxjs-x/no-misused-observables': 'error',
      'rxjs-x/no-sharereplay-before-takeuntil': 'error',
      'rxjs-x/no-subclass': 'error',
    },
  },
  // Files that a rule still spares. The lists only shrink: test/unit/house/lint.test.ts.
  ...[
    ['house/plain-english', allowed.plainEnglish],
    ['house/class-size', allowed.classSize],
  ].flatMap(([rule, files]) => (files.length === 0 ? [] : [{ files, rules: { [rule]: 'off' } }])),
  {
    files: [SOURCE],
    ignores: ['src/redis/**'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['ioredis', 'ioredis/*'], message: 'Only src/redis knows the client.' },
          ],
        },
      ],
    },
  },

  {
    // Stand-ins, provoked failures and printed output are what these files are for.
    files: AROUND,
    rules: {
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
      'rxjs-x/no-ignored-subscription': 'off',
      'rxjs-x/no-unsafe-subject-next': 'off',
      // Type tests are exactly unused expressions and unnecessary conditions.
      '@typescript-eslint/no-unnecessary-type-arguments': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
    },
  },
  {
    files: ['test/types/**/*.test-d.ts'],
    rules: {
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-unused-vars': 'off',
    },
  },
);
