import { CLEARED_MS } from '../../backend/attempts.js';
import type { Expected, RemoveRequest, WriteRequest } from '../../backend/backend.js';
import {
  ConflictError,
  OutcomeUnknownError,
  RefusedError,
  UnavailableError,
  UnreadableError,
} from '../../errors.js';
import type { Ttl } from '../../backend/ttl.js';
import {
  ConnectionLostError,
  readFailure,
  RedirectedError,
  replyWord,
  writeFailure,
} from '../reply-errors.js';
import { hideBytes } from '../client/hidden-bytes.js';
import {
  replyCount,
  replyList,
  replyNames,
  replyOk,
  replyText,
  replyWhole,
} from '../reply-parser.js';
import type { CommandConnection } from '../connection/connection.js';
import type { HelperNames } from './helper-names.js';
import { runScript } from './reader.js';
import { WRITE_IF } from './scripts.js';
import {
  malformedIn,
  replyOrRefusal,
  replyStored,
  replyTransaction,
  sendTransaction,
  type Command,
  type Publication,
  type Refusals,
} from './transaction.js';

/** How long a staged copy outlives a process that dies before its script ran. */
export const STAGE_MS: number = 10_000;

/** Writes over one connection. Each write is sent once; its outcome is a reply, a typed refusal, or unknown. */
export class Writer {
  readonly #connection: CommandConnection;
  readonly #names: HelperNames;

  constructor(connection: CommandConnection, names: HelperNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** @throws ConflictError, RefusedError, UnavailableError, OutcomeUnknownError */
  async set(request: WriteRequest, publication: Publication | undefined): Promise<boolean> {
    const { key, bytes, ttl, expected, overLarge } = request;
    if (typeof expected === 'object') return this.#setIf(request, expected, publication);
    const words = ['SET', key, hideBytes(bytes), ...ttlArguments(ttl)] as const;
    const plain: Command = { words, parse: replyOk };
    if (expected === 'absent') {
      const { reply, announced } = await this.#transact(publication, {
        ...plain,
        words: [...words, 'NX'],
      });
      if (reply === null) throw conflict();
      return announced;
    }
    if (overLarge) return (await this.#transact(publication, plain)).announced;
    try {
      // GET makes Redis refuse to replace a list or a hash, which plain SET removes without an error.
      const checked: Command = { words: [...words, 'GET'], parse: replyStored };
      return (await this.#transact(publication, checked)).announced;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.reply === 'WRONGTYPE') throw wrongType();
      if (error.reply !== 'NOPERM') throw error;
      // A user with write but no read permission writes without the type check.
      return (await this.#transact(publication, plain)).announced;
    }
  }

  /** @throws ConflictError, RefusedError, UnavailableError, OutcomeUnknownError */
  async remove(
    { key, expected }: RemoveRequest,
    publication: Publication | undefined,
  ): Promise<{ removed: boolean; announced: boolean; hasTombstone: boolean }> {
    if (expected !== undefined) {
      return { removed: true, ...(await this.#removeIf(key, expected.digest, publication)) };
    }
    const command: Command = { words: ['del', key], parse: replyCount };
    // In the same step as the removal: a reader would take a removal alone for no logout, and a tombstone alone for an old one.
    const tombstone = this.#tombstoneFor(key);
    try {
      const refusals: Refusals = new Map();
      const { reply, announced } = await this.#transact(publication, command, tombstone, refusals);
      const refusal = refusals.get('tombstone');
      const misplaced = refusal !== undefined && readFailure(refusal) instanceof RedirectedError;
      return { removed: Number(reply) > 0, announced, hasTombstone: !misplaced };
    } catch (error) {
      if (!(error instanceof RefusedError && error.reply === 'OOM')) throw error;
      // Without memory Redis queues no transaction, but still removes keys, and then there is memory for the tombstone.
      const { reply, announced } = await this.#together(publication, command);
      return {
        removed: Number(reply) > 0,
        announced,
        hasTombstone: await this.#tryTombstone(key),
      };
    }
  }

  /** Stores the tombstone of a cleared key, so that no re-authentication undoes the clear. @throws UnavailableError, RefusedError */
  async storeTombstone(key: string): Promise<void> {
    const tombstone = this.#tombstoneFor(key);
    try {
      await this.#connection.call(
        (client) => client.callBuffer(...tombstone.words),
        tombstone.parse,
      );
    } catch (error) {
      throw readFailure(error);
    }
  }

  /**
   * A user without the permission does without a tombstone; `false`: the tombstone belongs on another server, to which the slot is moving.
   */
  async #tryTombstone(key: string): Promise<boolean> {
    try {
      await this.storeTombstone(key);
      return true;
    } catch (error) {
      return !(error instanceof RedirectedError);
    }
  }

  #tombstoneFor(key: string): Command {
    // Each clear leaves another value, so that none is taken for an earlier one.
    const words = [
      'set',
      this.#names.cleared(key),
      this.#names.unique(),
      'PX',
      String(CLEARED_MS),
    ] as const;
    return { words, parse: replyOk };
  }

  async #removeIf(
    key: string,
    expected: string,
    publication: Publication | undefined,
  ): Promise<{ announced: boolean; hasTombstone: boolean }> {
    const remove = (how: string, tombstone?: string): Promise<boolean> =>
      this.#stagedWrite(key, expected, Buffer.alloc(0), ['del', how], publication, tombstone);
    try {
      return {
        announced: await remove(this.#names.unique(), this.#names.cleared(key)),
        hasTombstone: true,
      };
    } catch (error) {
      // The slot is moving, and its new server has only some of the keys.
      const misplaced = error instanceof RedirectedError && error.kind === 'partly';
      // A user without the permission does without a tombstone.
      if (!misplaced && !(error instanceof RefusedError && error.reply === 'NOPERM')) throw error;
      return { announced: await remove('none'), hasTombstone: !misplaced };
    }
  }

  #setIf(
    { key, bytes, ttl }: WriteRequest,
    expected: Exclude<Expected, 'absent' | undefined>,
    publication: Publication | undefined,
  ): Promise<boolean> {
    return this.#stagedWrite(key, expected.digest, bytes, ['set', String(ttl)], publication);
  }

  /**
   * Sends the write with its tombstone and its announcement in one transaction and one round trip, without those that Redis refuses.
   *
   * @param refusals - collects the refused commands
   */
  async #transact(
    publication: Publication | undefined,
    command: Command,
    tombstone?: Command,
    refusals: Refusals = new Map(),
  ): Promise<{ reply: unknown; announced: boolean }> {
    if (publication === undefined && tombstone === undefined)
      return { reply: await this.#alone(command), announced: false };
    try {
      const publishAfter = this.#connection.source?.inCluster === true;
      const transaction = { command, tombstone, publication, publishAfter };
      const result = await this.#connection.call(
        (client) => sendTransaction(client, transaction, refusals),
        (reply) => replyTransaction(reply, transaction, refusals),
      );
      if (result === null) throw new ConnectionLostError(true);
      if (result.reply instanceof Error) throw result.reply;
      return result;
    } catch (error) {
      if (error instanceof ConnectionLostError) throw this.#failure(error);
      const broken = malformedIn(refusals);
      if (broken !== undefined) {
        this.#connection.kill();
        throw this.#failure(broken);
      }
      const refusal = refusals.get('command');
      if (refusals.has('multi')) {
        // Without a transaction each command stands alone, and the replies of the executed ones are lost.
        if (refusal !== undefined) throw this.#failure(refusal);
        throw new OutcomeUnknownError('Redis refused MULTI and executed the commands after it');
      }
      // The slot is moving, and its new server has only some of the keys.
      if (replyWord(error) === 'TRYAGAIN' && tombstone !== undefined) {
        refusals.set('tombstone', error as Error);
        return this.#transact(publication, command, undefined, refusals);
      }
      // One refused command prevents the whole transaction, so nothing was written yet.
      if (replyWord(error) !== 'EXECABORT') throw this.#failure(error);
      if (refusal !== undefined) throw this.#failure(refusal);
      const unless = <C>(which: 'tombstone' | 'publish', one: C): C | undefined =>
        refusals.size > 0 && !refusals.has(which) ? one : undefined;
      return this.#transact(
        unless('publish', publication),
        command,
        unless('tombstone', tombstone),
        refusals,
      );
    }
  }

  async #alone(command: Command): Promise<unknown> {
    return (await this.#together(undefined, command)).reply;
  }

  /** Sends the write and its announcement one after the other, where no transaction is possible. */
  async #together(
    publication: Publication | undefined,
    command: Command,
  ): Promise<{ reply: unknown; announced: boolean }> {
    try {
      return await this.#connection.call(
        (client) => {
          const chain = client.pipeline().callBuffer(...command.words);
          return (
            publication ? chain.publish(publication.channel, publication.message) : chain
          ).exec();
        },
        (reply) => {
          const [first, second] = replyList(reply, publication ? 2 : 1).map(replyOrRefusal);
          if (first instanceof Error) throw first;
          const refused = second === undefined || second instanceof Error;
          if (!refused) replyCount(second);
          return { reply: command.parse(first), announced: !refused };
        },
      );
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async #stagedWrite(
    key: string,
    expected: string,
    bytes: Buffer,
    how: readonly [string, string],
    publication: Publication | undefined,
    tombstone?: string,
  ): Promise<boolean> {
    const stage = this.#names.stage(key);
    const staged = hideBytes(Buffer.concat([Buffer.from(expected), bytes]));
    const staging = this.#connection.call(
      (client) => client.set(stage, staged, 'PX', STAGE_MS),
      replyOk,
    );
    const { channel = '', message = '' } = publication ?? {};
    const writing = runScript(
      this.#connection,
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
    if (first.status === 'rejected') throw this.#failure(first.reason);
    if (second.status === 'rejected') {
      await this.#connection.call((client) => client.del(stage), replyCount).catch(() => undefined);
      throw this.#failure(second.reason);
    }
    const { outcome, announced } = second.value;
    if (outcome === 'conflict') throw conflict();
    if (outcome === 'unstaged')
      throw new UnavailableError('the staged copy was gone; nothing was written');
    return announced;
  }

  #failure(error: unknown): Error {
    // A demoted master stays one on this connection; the next connection goes to the master of that time.
    if (replyWord(error) === 'READONLY') this.#connection.kill();
    // A transaction or pipeline reports a lost connection as an error of its commands.
    if (error instanceof ConnectionLostError || replyWord(error) !== undefined)
      return writeFailure(error, this.#connection.source);
    return writeFailure(new ConnectionLostError(true, error instanceof Error ? error : undefined));
  }
}

function ttlArguments(ttl: Ttl): string[] {
  if (ttl === 'none') return [];
  return ttl === 'keep' ? ['KEEPTTL'] : ['PX', String(ttl)];
}

function wrongType(): UnreadableError {
  return new UnreadableError(
    'wrong-type',
    'the key holds another Redis type than a string, and was left as it is',
  );
}

function conflict(): ConflictError {
  return new ConflictError('the stored bytes are not the ones that the write was to replace');
}
