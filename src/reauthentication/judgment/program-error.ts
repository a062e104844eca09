import { causesOf, isError, readAt } from './error-shapes.js';

/** The errors that JavaScript throws for a mistake in the program. `SyntaxError` is not one of them: a page in place of JSON causes it. */
const MISTAKES: readonly unknown[] = ['TypeError', 'ReferenceError', 'RangeError'];

/** How the sentences of `fetch` begin for a network that failed, in Node.js, Deno and browsers: a `TypeError` that is no mistake. */
const NETWORK = /^(fetch failed|failed to fetch|terminated|network|load failed|error sending)/i;

/** Whether a function of the caller failed because of a mistake in the program: another try cannot succeed before the program changes. */
export function isProgramError(error: unknown): boolean {
  if (!isError(error) || !MISTAKES.includes(readAt(error, ['name']))) return false;
  const codes = [...causesOf(error)].map((at) => readAt(at, ['code']));
  if (codes.includes('ERR_INVALID_URL')) return true;
  // A cause, and a code that is not Node's own for a wrong argument, come from what happened outside of the program.
  if (readAt(error, ['cause']) !== undefined) return false;
  const [code] = codes;
  if (typeof code === 'string') return code.startsWith('ERR_INVALID_');
  const message = readAt(error, ['message']);
  return typeof message !== 'string' || !NETWORK.test(message);
}
