import tseslint from 'typescript-eslint';

import { house } from './house.js';

/**
 * The local rules alone, on every file, without the allow-lists:
 * `npx eslint --no-config-lookup -c test/support/lint/everywhere.config.js src`.
 */
export default [
  {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser },
    linterOptions: { noInlineConfig: true },
    plugins: { house },
    rules: { 'house/class-size': 'error', 'house/plain-english': 'error' },
  },
];
