import { malformed, replyList, replyNames, replyText } from '../reply-parser.js';

const MAX_ROLE = 64;

/**
 * Parses the reply of HELLO, a map of RESP3 in any shape or a list of RESP2; returns whether the server is a master.
 *
 * @throws MalformedReplyError
 */
export function replyHello(reply: unknown): boolean {
  const role = replyText(field(reply, 'role'), MAX_ROLE);
  return role !== 'replica' && role !== 'slave';
}

/** Parses the reply of PING with a number, which under RESP2 may come as a message. @throws MalformedReplyError */
export function replyPong(reply: unknown, question: number): void {
  replyNames(Array.isArray(reply) ? replyList(reply, 2)[1] : reply, String(question));
}

function field(reply: unknown, name: string): unknown {
  if (reply instanceof Map) return reply.get(name);
  if (!Array.isArray(reply))
    return typeof reply === 'object' && reply !== null && Object.hasOwn(reply, name)
      ? Reflect.get(reply, name)
      : malformed();
  const at = reply.findIndex((one, index) => index % 2 === 0 && String(one) === name);
  return at === -1 ? undefined : (reply[at + 1] as unknown);
}
