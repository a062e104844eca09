/** Whether the reply of HELLO shows a replica. The reply is a map of RESP3 in any shape, or a list of RESP2. */
export function isReplica(hello: unknown): boolean {
  const role = field(hello, 'role');
  return role === 'replica' || role === 'slave';
}

function field(reply: unknown, name: string): unknown {
  if (reply instanceof Map) return reply.get(name);
  if (!Array.isArray(reply))
    return typeof reply === 'object' && reply !== null ? Reflect.get(reply, name) : undefined;
  const at = reply.findIndex((one, index) => index % 2 === 0 && String(one) === name);
  return at === -1 ? undefined : String(reply[at + 1]);
}
