import { classSize } from './class-size.js';
import { plainEnglish } from './plain-english.js';

/** The local rules, as a plugin of ESLint. */
export const house = { rules: { 'class-size': classSize, 'plain-english': plainEnglish } };
