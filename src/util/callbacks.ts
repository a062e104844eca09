import { UnreadableError } from '../errors.js';
import { isThenable } from '../time/timers.js';

/**
 * Called when a function of the caller threw or rejected.
 *
 * @public
 */
export type CallbackErrorHandler = (error: unknown, where: string) => void;

/** Calls a function of the caller; an error that it throws or rejects with goes to `failed` and nowhere else. */
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

/**
 * The handler of errors of the caller's functions: the caller's own handler, which may fail itself, or else a warning that quotes nothing.
 */
export function errorHandler(handler: CallbackErrorHandler | undefined): CallbackErrorHandler {
  if (handler === undefined) return warn;
  return (error, where) => {
    callSafely(handler, [error, where], () => {
      warn(error, where);
    });
  };
}

function warn(error: unknown, where: string): void {
  // The messages of this package quote no data.
  const message =
    error instanceof UnreadableError
      ? `${where}: ${error.message}`
      : `a function of the caller threw: ${where}`;
  process.emitWarning(message, 'CredstreamWarning');
}
