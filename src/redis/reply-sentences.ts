/** The commands that this package and ioredis send; no other name from an error reply is shown. */
const COMMANDS: ReadonlySet<string> = new Set(
  `asking auth client cluster config del discard eval eval_ro evalsha evalsha_ro exec exists get hello info multi pexpiretime ping psubscribe
  pttl publish punsubscribe quit scan select set strlen subscribe time type unsubscribe wait`.split(
    /\s+/,
  ),
);

/**
 * The fixed sentences of Redis, by the replies that mean them. Each is written out here, because a reply may quote keys, user names or
 * arguments; `*` stands for the name of a command.
 */
const SENTENCES: readonly (readonly [reply: RegExp, sentence: string])[] = [
  [/^WRONGPASS /, 'invalid username-password pair or user is disabled'],
  [/^ERR invalid password/, 'invalid password'],
  [/^NOAUTH /, 'authentication required'],
  [/no password is set|without any password configured/, 'no password is set on the server'],
  [/permissions? to run the\b/, "no permissions to run the '*' command"],
  [/can't run this command\b/, "no permissions to run the '*' command"],
  [/permissions? to access .*\bkeys?\b/, 'no permissions to access a key'],
  [/permissions? to access .*\bchannels?\b/, 'no permissions to access a channel'],
  [/\bDB index is out of range|\binvalid DB index/, 'DB index is out of range'],
  [/^ERR SELECT is not allowed in cluster mode/, 'SELECT is not allowed in cluster mode'],
  [/\bcluster support disabled/, 'this instance has cluster support disabled'],
  [/\bmax number of clients\b.*\breached/, 'max number of clients reached'],
  [/^DENIED .*\brunning in protected mode/i, 'Redis is running in protected mode'],
  [
    /\b(?:unknown|unsupported)\b.*\bcommand\b|\bcommand is not (?:available|supported|allowed)\b/i,
    "unknown command '*'",
  ],
  [/^OOM /, "command not allowed when used memory > 'maxmemory'"],
  [/^NOREPLICAS /, 'not enough good replicas to write'],
  [/^MISCONF /, 'Redis cannot save to disk and refuses writes'],
  [/^LOADING /, 'Redis is loading the dataset in memory'],
  [/^MASTERDOWN /, 'the link of the replica with its master is down'],
  [/^READONLY /, 'a read only replica takes no writes'],
  [/^BUSY /, 'Redis is busy running a script'],
  [/^CLUSTERDOWN /, 'the cluster is down'],
];

/** The fixed sentence of Redis that an error reply is, after its first word; `undefined` for any other reply. */
export function sentenceOf(reply: string): string | undefined {
  const sentence = SENTENCES.find(([pattern]) => pattern.test(reply))?.[1];
  return sentence?.replace(" '*'", commandIn(reply));
}

/** Whether no connection was accepted, which the end of other connections mends. */
export function isFull(reply: string): boolean {
  return /^ERR max number of clients\b/.test(reply);
}

function commandIn(reply: string): string {
  const [, quoted = ''] = /['`]([a-z_]+)(?:\|[a-z-]+)?['`]/i.exec(reply) ?? [];
  const name = quoted.toLowerCase();
  return COMMANDS.has(name) ? ` '${name}'` : '';
}
