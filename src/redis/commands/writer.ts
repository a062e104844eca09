import { CLEAR_ENDED, CLEARED_MS } from '../../backend/attempts.js';
import type { Expected, RemoveRequest, WriteRequest } from '../../backend/backend.js';
import { OutcomeUnknownError, RefusedError, UnreadableError } from '../../errors.js';
import type { Ttl } from '../../backend/ttl.js';
import { ConnectionLostError, readFailure, RedirectedError, replyWord } from '../reply-errors.js';
import { hideBytes } from '../client/hidden-bytes.js';
import { replyCount, replyList, replyOk } from '../reply-parser.js';
import type { CommandConnection } from '../connection/connection.js';
import type { RefusedCommands } from '../connection/refused-commands.js';
import type { HelperNames } from './helper-names.js';
import { endClears, type Returned } from './writes/end-clears.js';
import { conflict, writeFailureOver } from './writes/failure.js';
import { stagedWrite, type WithoutTombstone } from './writes/staged-write.js';
import {
  malformedIn,
  replyOrRefusal,
  replyStored,
  replyTransaction,
  sendTransaction,
  type Command,
  type Publication,
  type Refusals,
} from './writes/transaction.js';

/** The name under which a refusal of the transaction is noted, which holds for all keys. */
const MULTI = 'multi';

/** The effects of a write beside the credential. */
export interface WriteOutcome {
  readonly announced: boolean;
  /** The tombstone belongs on another server, to which the slot is moving: an earlier clear has not ended. */
  readonly misplaced: boolean;
}

/** Writes over one connection. Each write is sent once; its outcome is a reply, a typed refusal, or unknown. */
export class Writer {
  readonly #connection: CommandConnection;
  readonly #names: HelperNames;
  /** A save does without the end of a clear that Redis refuses this user: a refusal with each save would fill the log of the server. */
  readonly #refused: RefusedCommands;

  constructor(connection: CommandConnection, names: HelperNames, refused: RefusedCommands) {
    this.#connection = connection;
    this.#names = names;
    this.#refused = refused;
  }

  /** The same over another connection of this user. */
  over(connection: CommandConnection): Writer {
    return new Writer(connection, this.#names, this.#refused);
  }

  /** @throws ConflictError, RefusedError, UnavailableError, OutcomeUnknownError */
  async set(request: WriteRequest, publication: Publication | undefined): Promise<WriteOutcome> {
    const { key, bytes, ttl, expected, overLarge } = request;
    if (typeof expected === 'object') return this.#setIf(request, expected, publication);
    const words = ['SET', key, hideBytes(bytes), ...ttlArguments(ttl)] as const;
    const plain: Command = { words, parse: replyOk };
    if (expected === 'absent') {
      const absent: Command = { ...plain, words: [...words, 'NX'] };
      const { reply, ...outcome } = await this.#store(key, publication, absent);
      if (reply === null) throw conflict();
      return outcome;
    }
    if (overLarge) return this.#store(key, publication, plain);
    try {
      // GET makes Redis refuse to replace a list or a hash, which plain SET removes without an error.
      const checked: Command = { words: [...words, 'GET'], parse: replyStored };
      return await this.#store(key, publication, checked);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.reply === 'WRONGTYPE') throw wrongType();
      if (error.reply !== 'NOPERM') throw error;
      // A user with write but no read permission writes without the type check.
      return this.#store(key, publication, plain);
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
      return { removed: Number(reply) > 0, announced, hasTombstone: !isMisplaced(refusals) };
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

  /** Ends the clears of keys that are stored again, except where Redis has refused that lately. @throws UnavailableError, RefusedError */
  endClears(keys: readonly Returned[]): Promise<void> {
    return endClears(this.#connection, this.#names, this.#refused, keys);
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

  /** Sends a write, and in the same step ends an earlier clear. */
  async #store(
    key: string,
    publication: Publication | undefined,
    command: Command,
  ): Promise<WriteOutcome & { reply: unknown }> {
    if (!this.#mayEnd(key))
      return { ...(await this.#transact(publication, command)), misplaced: false };
    const words = ['set', this.#names.cleared(key), CLEAR_ENDED, 'XX', 'KEEPTTL'] as const;
    const refusals: Refusals = new Map();
    try {
      const tombstone = { words, parse: replyOkOrNull };
      const result = await this.#transact(publication, command, tombstone, refusals);
      return { ...result, misplaced: isMisplaced(refusals) };
    } finally {
      // Without MULTI no outcome would be certain.
      if (refusals.has('multi')) this.#refused.refused(MULTI);
      if (replyWord(refusals.get('tombstone')) === 'NOPERM')
        this.#refused.refused(this.#names.cleared(key));
    }
  }

  /** Whether Redis has not refused lately to end the clear of this key: a user may have the right to some tombstones only. */
  #mayEnd(key: string): boolean {
    return this.#refused.mayTry(MULTI) && this.#refused.mayTry(this.#names.cleared(key));
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
    const remove = (how: string, tombstone?: string): Promise<boolean | WithoutTombstone> =>
      stagedWrite(this.#connection, this.#names, {
        key,
        expected,
        bytes: Buffer.alloc(0),
        how: ['del', how],
        publication,
        tombstone,
      });
    const removed = await remove(this.#names.unique(), this.#names.cleared(key));
    if (typeof removed === 'boolean') return { announced: removed, hasTombstone: true };
    // A user without the permission does without a tombstone.
    const announced = (await remove('none')) === true;
    return { announced, hasTombstone: removed !== 'misplaced' };
  }

  async #setIf(
    { key, bytes, ttl }: WriteRequest,
    { digest }: Exclude<Expected, 'absent' | undefined>,
    publication: Publication | undefined,
  ): Promise<WriteOutcome> {
    const write = (tombstone?: string): Promise<boolean | WithoutTombstone> =>
      stagedWrite(this.#connection, this.#names, {
        key,
        expected: digest,
        bytes,
        how: ['set', String(ttl)],
        publication,
        tombstone,
      });
    const tombstone = this.#names.cleared(key);
    const written = await write(this.#mayEnd(key) ? tombstone : undefined);
    if (typeof written === 'boolean') return { announced: written, misplaced: false };
    const announced = (await write()) === true;
    if (written === 'refused') this.#refused.refused(tombstone);
    return { announced, misplaced: written === 'misplaced' };
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
      if (error instanceof ConnectionLostError) throw writeFailureOver(this.#connection, error);
      const broken = malformedIn(refusals);
      if (broken !== undefined) {
        this.#connection.kill();
        throw writeFailureOver(this.#connection, broken);
      }
      const refusal = refusals.get('command');
      if (refusals.has('multi')) {
        // Without a transaction each command stands alone, and the replies of the executed ones are lost.
        if (refusal !== undefined) throw writeFailureOver(this.#connection, refusal);
        throw new OutcomeUnknownError('Redis refused MULTI and executed the commands after it');
      }
      // The slot is moving, and its new server has only some of the keys.
      if (replyWord(error) === 'TRYAGAIN' && tombstone !== undefined) {
        refusals.set('tombstone', error as Error);
        return this.#transact(publication, command, undefined, refusals);
      }
      // One refused command prevents the whole transaction, so nothing was written yet.
      if (replyWord(error) !== 'EXECABORT') throw writeFailureOver(this.#connection, error);
      if (refusal !== undefined) throw writeFailureOver(this.#connection, refusal);
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
      throw writeFailureOver(this.#connection, error);
    }
  }
}

function ttlArguments(ttl: Ttl): string[] {
  if (ttl === 'none') return [];
  return ttl === 'keep' ? ['KEEPTTL'] : ['PX', String(ttl)];
}

function replyOkOrNull(reply: unknown): unknown {
  return reply === null ? null : replyOk(reply);
}

/** Whether the tombstone belongs on another server, to which the slot is moving. */
function isMisplaced(refusals: Refusals): boolean {
  const refusal = refusals.get('tombstone');
  return refusal !== undefined && readFailure(refusal) instanceof RedirectedError;
}

function wrongType(): UnreadableError {
  return new UnreadableError(
    'wrong-type',
    'the key holds another Redis type than a string, and was left as it is',
  );
}
