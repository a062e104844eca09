import type { Rule } from 'eslint';

export declare const plainEnglish: Rule.RuleModule;

export declare function headlessSentences(text: string): string[];
