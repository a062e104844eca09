import type { CommandConnection } from '../../connection/connection.js';
import { replyList, replyNames } from '../../reply-parser.js';
import type { HelperNames } from '../helper-names.js';
import { runScript } from '../reader.js';
import { END_CLEARS } from '../scripts.js';

/** A key that is stored again, and perhaps the server's time of a reading that found it stored. */
export type Returned = readonly [key: string, storedAt: number | undefined];

/** Ends the clears of keys that are stored again, all of one server or slot. Rejects as Redis does. */
export function endClears(
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
