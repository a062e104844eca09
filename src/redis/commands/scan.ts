import { isUtf8 } from 'node:buffer';
import { UnavailableError } from '../../errors.js';
import type { CommandSession } from './channel.js';
import { readFailure } from '../reply-errors.js';
import { escapeGlob } from '../keys.js';

/** Keys that Redis visits per call, of which it returns those under the prefix: a fraction of a millisecond of its time. */
const COUNT = '1000';

type Use = <R>(use: (session: CommandSession) => Promise<R>) => Promise<R>;

/**
 * The string keys of one server that begin with `prefix`, page by page. Keys that are not UTF-8 are left out, because no id leads to them.
 *
 * @throws UnavailableError, RefusedError
 */
export async function* scanKeys(prefix: string, use: Use): AsyncGenerator<readonly string[]> {
  const args = ['MATCH', `${escapeGlob(prefix)}*`, 'COUNT', COUNT, 'TYPE', 'string'];
  let connection: CommandSession['connection'] | undefined;
  let cursor = '0';
  do {
    const [next, keys] = await use(async (session) => {
      connection ??= session.connection;
      // A cursor is meaningless to another server, and a new connection may lead to one.
      if (connection !== session.connection)
        throw new UnavailableError('the link to Redis was lost before all keys were listed');
      try {
        const reply = await connection.call((client) => client.callBuffer('SCAN', cursor, ...args));
        return reply as [Buffer, Buffer[]];
      } catch (error) {
        throw readFailure(error);
      }
    });
    cursor = next.toString();
    const page = keys.filter((key) => isUtf8(key)).map((key) => key.toString());
    if (page.length > 0) yield page;
  } while (cursor !== '0');
}
