import type { Redis } from 'ioredis';
import { ConnectionLostError, MalformedReplyError, replyWord } from '../../reply-errors.js';
import {
  MAX_STRING_BYTES,
  malformed,
  replyBytes,
  replyCount,
  replyList,
  replyNames,
} from '../../reply-parser.js';

/** A command's name and its arguments, and the parser of its reply. */
export interface Command {
  readonly words: readonly [name: string, ...args: (string | Buffer)[]];
  readonly parse: (reply: unknown) => unknown;
}

/** The reply of GET and of `SET … GET`: bytes of any size. @throws MalformedReplyError */
export function replyStored(reply: unknown): Buffer | null {
  return reply === null ? null : replyBytes(reply, MAX_STRING_BYTES);
}

/** The announcement of a write. */
export interface Publication {
  readonly channel: string;
  readonly message: string;
}

/**
 * The commands that Redis refused before EXEC, or replied to as to another command; these errors quote arguments and stay inside this room.
 */
export type Refusals = Map<'multi' | 'tombstone' | 'command' | 'publish', Error>;

/** A write, with the commands that happen in the same step where Redis permits them. */
export interface Transaction {
  readonly command: Command;
  readonly tombstone?: Command | undefined;
  readonly publication?: Publication | undefined;
  /**
   * Whether the announcement follows EXEC. In a cluster: Valkey 9 executes a transaction with PUBLISH on the source of a moving slot, although
   * the key has moved; without PUBLISH it replies ASK. An announcement of a write that is refused costs others a read.
   */
  readonly publishAfter?: boolean;
}

/**
 * Sends a command with its tombstone and its announcement as one transaction, in one piece. Not by the pipeline of ioredis, which costs more
 * than the rest of a write.
 *
 * @param refusals - collects the refused commands before this function rejects
 * @returns the reply of EXEC, with that of an announcement after it in a list; rejects as EXEC does
 */
export function sendTransaction(
  client: Redis,
  { command, tombstone, publication, publishAfter = false }: Transaction,
  refusals: Refusals,
): Promise<unknown> {
  const publish = ({ channel, message }: Publication): Promise<unknown> =>
    client.callBuffer('publish', channel, message);
  const send = (
    which: Parameters<Refusals['set']>[0],
    expected: string,
    sent: Promise<unknown>,
  ): void => {
    const refused = (error: unknown): void => {
      if (replyWord(error) !== undefined || error instanceof MalformedReplyError)
        refusals.set(which, error as Error);
    };
    sent.then((reply) => {
      // Without MULTI the commands after it were executed.
      if (refusals.has('multi')) return;
      try {
        replyNames(reply, expected);
      } catch (error) {
        refused(error);
      }
    }, refused);
  };
  const { stream } = client as { stream?: { cork(): void; uncork(): void } };
  stream?.cork();
  try {
    send('multi', 'OK', client.callBuffer('multi'));
    if (tombstone !== undefined) send('tombstone', 'QUEUED', client.callBuffer(...tombstone.words));
    send('command', 'QUEUED', client.callBuffer(...command.words));
    if (publication === undefined || !publishAfter) {
      if (publication !== undefined) send('publish', 'QUEUED', publish(publication));
      return client.callBuffer('exec');
    }
    const executed = client.callBuffer('exec');
    const published = publish(publication).catch((error: unknown) => {
      if (replyWord(error) === undefined) throw error;
      return error;
    });
    return Promise.all([executed, published]);
  } finally {
    stream?.uncork();
  }
}

/**
 * Parses the reply of EXEC: `null`, or the replies of all commands, in which error replies are values.
 *
 * @throws MalformedReplyError, also for a command before EXEC
 */
export function replyTransaction(
  reply: unknown,
  { command, tombstone, publication, publishAfter = false }: Transaction,
  refusals: Refusals,
): { readonly reply: unknown; readonly announced: boolean } | null {
  const broken = malformedIn(refusals);
  if (broken !== undefined) throw broken;
  const isApart = publishAfter && publication !== undefined;
  const [executed, published] = isApart ? replyList(reply, 2) : [reply, undefined];
  if (executed === null) return null;
  const inStep = isApart ? undefined : publication;
  const commands = [tombstone, command, inStep && { parse: replyCount }].filter(
    (one) => one !== undefined,
  );
  const replies = replyList(executed, commands.length).map((one, at) => {
    if (one instanceof Error) return replyWord(one) === undefined ? malformed() : one;
    return commands[at]?.parse(one);
  });
  const [first, inTransaction] = tombstone === undefined ? replies : replies.slice(1);
  const second = isApart ? published : inTransaction;
  if (isApart && !(second instanceof Error)) replyCount(second);
  const isRefused = first instanceof Error || second instanceof Error;
  return { reply: first, announced: publication !== undefined && !isRefused };
}

/** The malformed reply to one of the commands, if there was any. */
export function malformedIn(refusals: Refusals): MalformedReplyError | undefined {
  for (const error of refusals.values()) if (error instanceof MalformedReplyError) return error;
  return undefined;
}

/**
 * One reply of a pipeline, or the error reply in its place.
 *
 * @throws ConnectionLostError, MalformedReplyError
 */
export function replyOrRefusal(pair: unknown): unknown {
  // ioredis leaves the value of a refused command out.
  const [error, value] = replyList(pair);
  if (error === null) return value;
  if (replyWord(error) === undefined) throw new ConnectionLostError(true);
  return error;
}
