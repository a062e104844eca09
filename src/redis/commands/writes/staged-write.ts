import { UnavailableError } from '../../../errors.js';
import { hideBytes } from '../../client/hidden-bytes.js';
import type { CommandConnection } from '../../connection/connection.js';
import {
  replyCount,
  replyList,
  replyNames,
  replyOk,
  replyText,
  replyWhole,
} from '../../reply-parser.js';
import { isCommandRefused, replyWord } from '../../reply-errors.js';
import type { HelperNames } from '../helper-names.js';
import { runScript } from '../reader.js';
import { WRITE_IF } from '../scripts.js';
import { conflict, writeFailureOver } from './failure.js';
import type { Publication } from './transaction.js';

/** How long a staged copy outlives a process that dies before its script ran. */
export const STAGE_MS: number = 10_000;

export interface StagedWrite {
  readonly key: string;
  /** The digest of the bytes to replace or to remove. */
  readonly expected: string;
  readonly bytes: Buffer;
  /** The first two arguments of the script. */
  readonly how: readonly [string, string];
  readonly publication: Publication | undefined;
  /** The tombstone to write or to end. */
  readonly tombstone: string | undefined;
}

/** Why the write may succeed without its tombstone: the slot is moving and its new server has only some of the keys, or a right is missing. */
export type WithoutTombstone = 'misplaced' | 'refused';

/**
 * Writes or removes only the expected bytes; returns whether that was announced, or why nothing was written because of the tombstone.
 *
 * @throws ConflictError, RefusedError, UnavailableError, OutcomeUnknownError
 */
export async function stagedWrite(
  connection: CommandConnection,
  names: HelperNames,
  { key, expected, bytes, how, publication, tombstone }: StagedWrite,
): Promise<boolean | WithoutTombstone> {
  const stage = names.stage(key);
  const staged = hideBytes(Buffer.concat([Buffer.from(expected), bytes]));
  const staging = connection.call((client) => client.set(stage, staged, 'PX', STAGE_MS), replyOk);
  const { channel = '', message = '' } = publication ?? {};
  const writing = runScript(
    connection,
    WRITE_IF,
    'EVALSHA',
    'EVAL',
    tombstone === undefined
      ? ['2', key, stage, ...how, channel, message]
      : ['3', key, stage, tombstone, ...how, channel, message],
    (reply) => {
      replyList(reply, 4);
      replyNames(reply[1], key);
      return { outcome: replyText(reply[2], 16), announced: replyWhole(reply[3], 0, 1) === 1 };
    },
  );
  const [first, second] = await Promise.allSettled([staging, writing]);
  staged.fill(0);
  if (first.status === 'rejected') throw writeFailureOver(connection, first.reason);
  if (second.status === 'rejected') {
    await connection.call((client) => client.del(stage), replyCount).catch(() => undefined);
    const why = tombstone === undefined ? undefined : withoutTombstone(second.reason);
    if (why !== undefined) return why;
    throw writeFailureOver(connection, second.reason);
  }
  const { outcome, announced } = second.value;
  if (outcome === 'conflict') throw conflict();
  if (outcome === 'unstaged')
    throw new UnavailableError('the staged copy was gone; nothing was written');
  return announced;
}

function withoutTombstone(error: unknown): WithoutTombstone | undefined {
  const word = replyWord(error);
  if (word === 'TRYAGAIN') return 'misplaced';
  return word === 'NOPERM' && !isCommandRefused(error) ? 'refused' : undefined;
}
