import { isThenable } from './waiting.js';

/** Calls a function of the caller; what it throws or rejects goes to `failed` and nowhere else. */
export function callSafely<A extends unknown[]>(
  fn: (...args: A) => unknown,
  args: A,
  failed: (error: unknown) => void,
): void {
  try {
    const result = fn(...args);
    if (isThenable(result)) result.then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}
