import type { Content } from '../../credential/content.js';
import { ConnectionLostError, isPassing, replyWord } from '../reply-errors.js';
import {
  replyBytes,
  replyCount,
  replyInstant,
  replyList,
  replyNames,
  replyWhole,
} from '../reply-parser.js';
import type { CommandConnection } from '../connection/connection.js';
import {
  ABSENT,
  TOO_LARGE,
  WRONG_TYPE,
  type Clocks,
  type RawReading,
  type ReadRequest,
} from './raw-reading.js';
import { EPOCH_BYTES } from './scripts.js';
import { replyOrRefusal, replyStored } from './writes/transaction.js';

/** Values that are read apart may disagree when something changed in between; a key that is written faster than this cannot be read. */
const TORN_TRIES = 100;
/** The uncertainty of a server time that is taken from this machine's clock. */
const CLOCK_WOBBLE_MS = 50;

/** The value of a reply, or the error reply in its place. */
type Answer<V> = V | Error;

interface Answers {
  readonly before: Answer<number>;
  readonly bytes: Answer<Buffer | number | null>;
  readonly after: Answer<number>;
  readonly again: Answer<Buffer | number | null>;
  /** Milliseconds. */
  readonly time: Answer<number>;
  readonly epoch: Answer<string | null | undefined> | undefined;
}

/**
 * Reads without scripts: bytes and end are read apart, twice, and accepted when both readings agree. Not in a transaction: on a subscribed
 * connection a message can land inside the array of its reply.
 */
export class PipelineReader {
  /** PING repeats the key and the number of the question; a user without it gets a reply that is bound by its form only. */
  #mayPing = true;

  readonly read = async (
    connection: CommandConnection,
    request: ReadRequest,
    clocks: Clocks,
  ): Promise<RawReading> => {
    let foreign = await foreignContent(connection, request);
    for (let tries = 1; ; tries += 1) {
      const sentAt = clocks.monotonic();
      const answers = await this.#ask(connection, request, foreign !== undefined);
      const receivedAt = clocks.monotonic();
      const { before, bytes, after, again, time, epoch } = answers;
      if (before instanceof Error) throw before;
      if (bytes instanceof Error && replyWord(bytes) !== 'WRONGTYPE') throw bytes;
      const value = foreign === undefined && Buffer.isBuffer(bytes) ? bytes : null;
      const took = receivedAt - sentAt;
      const absent = bytes === null;
      const agree =
        !(after instanceof Error) &&
        isSame(bytes, again) &&
        (foreign === undefined || isForeign(bytes, request) === foreign) &&
        absent === (after === -2) &&
        (after < 0 ? before === after : before >= after && before - after <= took + 1);
      if (!agree) {
        // A torn reading must not become a state; a new connection is the lesser harm.
        if (tries === TORN_TRIES) throw new ConnectionLostError(true);
        if (foreign !== undefined) foreign = await foreignContent(connection, request);
        continue;
      }
      const serverNow = time instanceof Error ? clocks.now() : time;
      return {
        content: foreign ?? (bytes instanceof Error ? WRONG_TYPE : contentOf(value, request)),
        expiresAt: after < 0 ? undefined : Math.round(serverNow + after),
        toleranceMs: Math.ceil(took) + 2 + (time instanceof Error ? CLOCK_WOBBLE_MS : 0),
        serverNow,
        sentAt,
        receivedAt,
        epoch: epoch instanceof Error ? undefined : epoch,
      };
    }
  };

  #ask(
    connection: CommandConnection,
    { key, epochKey }: ReadRequest,
    foreign: boolean,
  ): Promise<Answers> {
    // One refused command would refuse a whole transaction.
    const bound = this.#mayPing && connection.oneCommandOnly !== true;
    const named = (question: number): string => `${String(question)} ${key}`;
    return connection.call(
      (client, question) => {
        // A connection that needs a transaction is never a subscribed one.
        const first = (connection.oneCommandOnly ? client.multi() : client.pipeline()).pttl(key);
        // Foreign content is not transferred, only checked.
        const second = foreign ? first.strlen(key) : first.getBuffer(key);
        const third = second.pttl(key);
        const fourth = foreign ? third.strlen(key) : third.getBuffer(key);
        const all = fourth.time();
        // Another client may have written an epoch of any length.
        if (epochKey !== undefined) all.getrangeBuffer(epochKey, 0, EPOCH_BYTES);
        if (bound) all.ping(named(question));
        return all.exec();
      },
      (reply, question) => {
        const length = 5 + (epochKey === undefined ? 0 : 1) + (bound ? 1 : 0);
        const all = replyList(reply, length).map(replyOrRefusal);
        const at = <V>(index: number, parse: (value: unknown) => V): Answer<V> => {
          const answer = all[index];
          return answer instanceof Error ? answer : parse(answer);
        };
        if (bound) {
          const ping = all.at(-1);
          if (ping instanceof Error) this.#mayPing = false;
          else replyNames(ping, named(question));
        }
        const value: (one: unknown) => Buffer | number | null = foreign ? replyCount : replyStored;
        return {
          before: at(0, replyLeft),
          bytes: at(1, value),
          after: at(2, replyLeft),
          again: at(3, value),
          time: at(4, replyTime),
          epoch: epochKey === undefined ? undefined : at(5, replyEpoch),
        };
      },
    );
  }
}

function replyLeft(reply: unknown): number {
  return replyWhole(reply, -2);
}

function replyTime(reply: unknown): number {
  // ioredis turns the texts of TIME into numbers.
  const [seconds, micros] = replyList(reply, 2).map((part) => replyWhole(Number(part), 0));
  return replyInstant(Number(seconds) * 1000 + Number(micros) / 1000);
}

/** GETRANGE gives no bytes for an absent key. `undefined` for content that is not ours. */
function replyEpoch(reply: unknown): string | null | undefined {
  const bytes = replyBytes(reply, EPOCH_BYTES + 1);
  if (bytes.length === 0) return null;
  return bytes.length > EPOCH_BYTES ? undefined : bytes.toString();
}

/** STRLEN may be refused too; then a large value is transferred. */
async function foreignContent(
  connection: CommandConnection,
  request: ReadRequest,
): Promise<Content | undefined> {
  try {
    const size = await connection.call((client) => client.strlen(request.key), replyCount);
    return isForeign(size, request);
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return word === 'WRONGTYPE' ? WRONG_TYPE : undefined;
  }
}

/** @param length - the answer to STRLEN */
function isForeign(
  length: Answer<Buffer | number | null>,
  { maxBytes }: ReadRequest,
): Content | undefined {
  if (length instanceof Error) return WRONG_TYPE;
  return typeof length === 'number' && length > maxBytes ? TOO_LARGE : undefined;
}

function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Error) return b instanceof Error;
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b;
}

/** Where STRLEN is refused, or came too early, only the value itself shows the size. */
function contentOf(value: Buffer | null, { maxBytes }: ReadRequest): Content {
  if (value === null) return ABSENT;
  return value.length > maxBytes ? TOO_LARGE : { type: 'bytes', bytes: value };
}
