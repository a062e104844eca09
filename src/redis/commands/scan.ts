import { isUtf8 } from 'node:buffer';
import { UnavailableError } from '../../errors.js';
import type { CommandSession } from './channel.js';
import { readFailure } from '../reply-errors.js';
import { MAX_STRING_BYTES, malformed, replyBytes, replyList, replyText } from '../reply-parser.js';
import { escapeGlob } from '../keys.js';

/** Keys that Redis visits per call, of which it returns those under the prefix: a fraction of a millisecond of its time. */
const COUNT = '1000';

/** A cursor is a number of 64 bits. */
const MAX_CURSOR = 20;

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
        return await connection.call(
          (client) => client.callBuffer('SCAN', cursor, ...args),
          (reply) => replyPage(reply, prefix),
        );
      } catch (error) {
        throw readFailure(error);
      }
    });
    cursor = next;
    if (keys.length > 0) yield keys;
  } while (cursor !== '0');
}

/** A page of SCAN, in which every key begins with the prefix. @throws MalformedReplyError */
function replyPage(
  reply: unknown,
  prefix: string,
): readonly [cursor: string, keys: readonly string[]] {
  const [cursor, keys] = replyList(reply, 2);
  const next = replyText(cursor, MAX_CURSOR);
  if (!/^\d+$/.test(next)) malformed();
  const page: string[] = [];
  for (const one of replyList(keys)) {
    const key = replyBytes(one, MAX_STRING_BYTES);
    if (!isUtf8(key)) continue;
    const text = key.toString();
    if (!text.startsWith(prefix)) malformed();
    page.push(text);
  }
  return [next, page];
}
