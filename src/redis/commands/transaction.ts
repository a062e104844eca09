import type { Redis } from 'ioredis';
import { replyWord } from '../reply-errors.js';

/** A command's name and its arguments. */
export type Command = readonly [name: string, ...args: (string | Buffer)[]];

/** The announcement of a write. */
export interface Publication {
  readonly channel: string;
  readonly message: string;
}

/** The commands that Redis refused before EXEC; these errors quote arguments and stay inside this room. */
export type Refusals = Map<'multi' | 'tombstone' | 'command' | 'publish', Error>;

/** A write, with the commands that happen in the same step where Redis permits them. */
export interface Transaction {
  readonly command: Command;
  readonly tombstone?: Command | undefined;
  readonly publication?: Publication | undefined;
}

/**
 * Sends a command with its tombstone and its announcement as one transaction, in one piece. Not by the pipeline of ioredis, which costs more
 * than the rest of a write.
 *
 * @param refusals - collects the refused commands before this function rejects
 * @returns the replies of all, in which errors are values; rejects as EXEC does
 */
export function sendTransaction(
  client: Redis,
  { command, tombstone, publication }: Transaction,
  refusals: Refusals,
): Promise<readonly unknown[] | null> {
  const noting = (which: Parameters<Refusals['set']>[0]) => (error: unknown) => {
    if (replyWord(error) !== undefined) refusals.set(which, error as Error);
  };
  const { stream } = client as { stream?: { cork(): void; uncork(): void } };
  stream?.cork();
  try {
    client.callBuffer('multi').catch(noting('multi'));
    if (tombstone !== undefined) client.callBuffer(...tombstone).catch(noting('tombstone'));
    client.callBuffer(...command).catch(noting('command'));
    if (publication !== undefined) {
      const { channel, message } = publication;
      client.callBuffer('publish', channel, message).catch(noting('publish'));
    }
    return client.callBuffer('exec') as Promise<readonly unknown[] | null>;
  } finally {
    stream?.uncork();
  }
}
