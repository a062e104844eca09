import { OutcomeUnknownError, RefusedError, UnavailableError } from '../errors.js';

/** What a state may show of an error: only what says itself that it quotes nothing. */
export function showableError(
  error: unknown,
): UnavailableError | RefusedError | OutcomeUnknownError | undefined {
  const known =
    error instanceof UnavailableError ||
    error instanceof RefusedError ||
    error instanceof OutcomeUnknownError;
  return known ? error : undefined;
}
