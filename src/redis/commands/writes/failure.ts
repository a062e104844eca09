import { ConflictError } from '../../../errors.js';
import type { CommandConnection } from '../../connection/connection.js';
import { ConnectionLostError, replyWord, writeFailure } from '../../reply-errors.js';

/** The error of a write for its caller. */
export function writeFailureOver(connection: CommandConnection, error: unknown): Error {
  // A demoted master stays one on this connection; the next connection goes to the master of that time.
  if (replyWord(error) === 'READONLY') connection.kill();
  // A transaction or pipeline reports a lost connection as an error of its commands.
  if (error instanceof ConnectionLostError || replyWord(error) !== undefined)
    return writeFailure(error, connection.source);
  return writeFailure(new ConnectionLostError(true, error instanceof Error ? error : undefined));
}

export function conflict(): ConflictError {
  return new ConflictError('the stored bytes are not the ones that the write was to replace');
}
