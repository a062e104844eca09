import type { ESLint, Rule } from 'eslint';

export declare const house: ESLint.Plugin & {
  readonly rules: Readonly<Record<'class-size' | 'plain-english', Rule.RuleModule>>;
};
