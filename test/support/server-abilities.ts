import type { Redis } from 'ioredis';

/** What a server can do that not all supported versions can, as it says itself. */
export interface ServerAbilities {
  /** `PEXPIRETIME` gives the end of a key itself; without it an end is the sum of `TIME` and `PTTL`. */
  readonly givesEnds: boolean;
  /** The command, in lower case, by which the library runs the script that reads a key. */
  readonly readCommand: 'evalsha_ro' | 'evalsha';
  /** The command, in lower case, by which the library sends that script in full, once for each server. */
  readonly readTextCommand: 'eval_ro' | 'eval';
  /** ACL rules tell reading from writing: `%R~`, `%W~`. */
  readonly splitsKeyRights: boolean;
  /** A server of a cluster takes `cluster-port`, and many slots at once. */
  readonly choosesBusPort: boolean;
  /** The subcommand of `CLUSTER` that moves slots in one step, of Redis 8.4 or of Valkey 9. */
  readonly atomicMove: 'MIGRATION' | 'MIGRATESLOTS' | undefined;
  /** Commands of the list below that the server does not know. */
  readonly unknown: ReadonlySet<string>;
}

/** In the order in which the server is asked. `ACL DRYRUN` came with rights of keys, `CLUSTER ADDSLOTSRANGE` with `cluster-port`. */
export const ASKED = [
  'pexpiretime',
  'evalsha_ro',
  'eval_ro',
  'function',
  'fcall',
  'fcall_ro',
  'acl|dryrun',
  'cluster|addslotsrange',
  'cluster|migration',
  'cluster|migrateslots',
] as const;

/** Asks a server for its abilities. A version would not do: forks count differently, and commands may be renamed or taken away. */
export async function abilitiesOf(client: Redis): Promise<ServerAbilities> {
  return readAbilities(await client.call('COMMAND', 'INFO', ...ASKED));
}

/**
 * Reads the reply of `COMMAND INFO`: one entry for each name, nil for a command that the server does not know.
 *
 * @throws Error when the reply has another shape.
 */
export function readAbilities(reply: unknown): ServerAbilities {
  if (!Array.isArray(reply) || reply.length !== ASKED.length) {
    throw new Error('COMMAND INFO gave no entry for each command');
  }
  const entries: readonly unknown[] = reply;
  const unknown = new Set<string>(ASKED.filter((_, index) => !Array.isArray(entries[index])));
  const knows = (name: (typeof ASKED)[number]): boolean => !unknown.has(name);
  return {
    givesEnds: knows('pexpiretime'),
    readCommand: knows('evalsha_ro') ? 'evalsha_ro' : 'evalsha',
    readTextCommand: knows('eval_ro') ? 'eval_ro' : 'eval',
    splitsKeyRights: knows('acl|dryrun'),
    choosesBusPort: knows('cluster|addslotsrange'),
    atomicMove: knows('cluster|migration')
      ? 'MIGRATION'
      : knows('cluster|migrateslots')
        ? 'MIGRATESLOTS'
        : undefined,
    unknown,
  };
}

/**
 * Rules of `ACL SETUSER` in the words of this server: a command that it does not know cannot be allowed or denied, and where it does
 * not tell reading from writing, or reads by scripts that might write, a right to one is a right to both.
 */
export function rulesFor(
  { unknown, splitsKeyRights, givesEnds, readCommand }: ServerAbilities,
  rules: readonly string[],
): string[] {
  const known = rules.filter((rule) => !unknown.has(rule.replace(/^[+-]/, '')));
  // A script that might write needs both rights to its keys.
  const joined = splitsKeyRights ? (readCommand === 'evalsha' ? /^%R~/ : /^$/) : /^%[RW]+~/;
  const worded = known.map((rule) => rule.replace(joined, '~'));
  const added: string[] = [];
  if (!givesEnds && rules.includes('+pexpiretime')) added.push('+pttl');
  if (readCommand === 'evalsha' && rules.includes('+evalsha_ro')) added.push('+evalsha', '+eval');
  return [...worded, ...added.filter((rule) => !worded.includes(rule))];
}

/** The end of a key in milliseconds, -1 for none, -2 for an absent key; up to 2 ms off where the server does not give it. */
export async function endOf(client: Redis, key: string): Promise<number> {
  const { givesEnds } = await abilitiesOf(client);
  if (givesEnds) return client.pexpiretime(key);
  const replies = await client.multi().pttl(key).time().exec();
  const left = Number(replies?.[0]?.[1]);
  const [seconds, micros] = (replies?.[1]?.[1] ?? []) as readonly unknown[];
  return left < 0 ? left : Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) + left;
}
