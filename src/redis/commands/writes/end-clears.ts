import { RefusedError } from '../../../errors.js';
import type { CommandConnection } from '../../connection/connection.js';
import type { RefusedCommands } from '../../connection/refused-commands.js';
import { isCommandRefused, readFailure } from '../../reply-errors.js';
import { replyList, replyNames } from '../../reply-parser.js';
import type { HelperNames } from '../helper-names.js';
import { runScript } from '../reader.js';
import { END_CLEARS } from '../scripts.js';

/** A key that is stored again, and perhaps the server's time of a reading that found it stored. */
export type Returned = readonly [key: string, storedAt: number | undefined];

/** The name under which a refusal of the script for all keys is noted. */
const END = 'end';

/** So many keys refused, and none served, show that the user may end no clear. */
const SHOWS_ALL = 16;

const endOf = (key: string): string => `${END} ${key}`;

/**
 * Ends the clears of keys that are stored again, all of one server or slot, except where Redis has refused that lately.
 *
 * @throws UnavailableError, RefusedError
 */
export async function endClears(
  connection: CommandConnection,
  names: HelperNames,
  refused: RefusedCommands,
  keys: readonly Returned[],
): Promise<void> {
  const may = keys.filter(([key]) =>
    [names.cleared(key), endOf(key)].every((name) => refused.mayTry(name)),
  );
  const [first] = may;
  if (first === undefined || !refused.mayTry(END)) return;
  try {
    await runEndClears(connection, names, may);
  } catch (error) {
    const failure = readFailure(error);
    if (!(failure instanceof RefusedError)) throw failure;
    if (isCommandRefused(error)) refused.refused(END);
    else if (may.length === 1) refused.refused(endOf(first[0]));
    // One key that the user may not write makes Redis refuse the script for all.
    else return endEach(connection, names, refused, may);
    throw failure;
  }
}

async function endEach(
  connection: CommandConnection,
  names: HelperNames,
  refused: RefusedCommands,
  keys: readonly Returned[],
): Promise<void> {
  let refusals = 0;
  for (const [at, key] of keys.entries()) {
    try {
      await endClears(connection, names, refused, [key]);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusals += 1;
      if (refusals === SHOWS_ALL && refusals === at + 1) refused.refused(END);
    }
  }
}

function runEndClears(
  connection: CommandConnection,
  names: HelperNames,
  keys: readonly Returned[],
): Promise<void> {
  const [first] = keys[0] ?? [''];
  const both = keys.flatMap(([key]) => [key, names.cleared(key)]);
  const times = keys.map(([, at]) => (at === undefined ? '' : String(Math.floor(at))));
  const args = [String(both.length), ...both, ...times];
  return runScript(connection, END_CLEARS, 'EVALSHA', 'EVAL', args, (reply) => {
    replyNames(replyList(reply, 2)[1], first);
  });
}
