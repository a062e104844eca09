import type { ScriptCommand } from '../../credential/status.js';
import type { CommandConnection } from '../connection/connection.js';
import { isCommandRefused } from '../reply-errors.js';
import { replyList } from '../reply-parser.js';
import { script } from './scripts.js';
import { replyOrRefusal } from './writes/transaction.js';

const TRIAL = script('return 0');
/** In the order in which they are sent. */
const COMMANDS: readonly ScriptCommand[] = ['EVALSHA', 'EVAL'];

/**
 * Finds the command by which conditional writes would fail, because the server does not know it or this user may not run it; `undefined` where
 * scripts run. Only trying tells: a configuration that takes a command away, a proxy and the rights of a user show it nowhere in common.
 *
 * @throws ConnectionLostError
 */
export function refusedScriptCommand(
  connection: CommandConnection,
): Promise<ScriptCommand | undefined> {
  return connection.call(
    (client) =>
      client
        .pipeline()
        .callBuffer('EVALSHA', TRIAL.sha, '0')
        .callBuffer('EVAL', TRIAL.text, '0')
        .exec(),
    (reply) => {
      const replies = replyList(reply, COMMANDS.length).map(replyOrRefusal);
      return COMMANDS.find((_, index) => isCommandRefused(replies[index]));
    },
  );
}
