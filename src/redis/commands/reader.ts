import type { Observation } from '../../backend/backend.js';
import type { Content } from '../../credential/content.js';
import { hasStepped, wallOffset, type ServerTime } from '../../time/server-time.js';
import {
  malformed,
  replyBytes,
  replyCount,
  replyEnd,
  replyInstant,
  replyList,
  replyNames,
  replyWhole,
} from '../reply-parser.js';
import { isPassing, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { PipelineReader } from './pipeline-reader.js';
import {
  ABSENT,
  TOO_LARGE,
  WRONG_TYPE,
  type Clocks,
  type RawReading,
  type ReadRequest,
  type ReadStrategy,
} from './raw-reading.js';
import { EPOCH_BYTES, READ, READ_BY_PTTL, type Script } from './scripts.js';

/** A clock that never comes to rest must not block a reader. */
const TRIES = 5;
/** Reads keys over one connection, by the best strategy that Redis permits this user. */
export class Reader {
  readonly #connection: CommandConnection;
  readonly #clocks: Clocks;
  /** Index into {@link SCRIPTS}; the pipeline comes after them. */
  #strategy = 0;
  #mayReadEpoch = true;
  readonly #pipeline = new PipelineReader();

  constructor(connection: CommandConnection, clocks: Clocks) {
    this.#connection = connection;
    this.#clocks = clocks;
  }

  /** Sends its command synchronously. @throws ConnectionLostError, or an error reply of Redis */
  read(request: ReadRequest, tries: number = TRIES): Promise<RawReading> {
    const before = wallOffset(this.#clocks);
    const awake = (read: RawReading): RawReading | Promise<RawReading> =>
      // A reply that lay in a buffer while the machine slept shows an earlier time, and its age is unknown.
      tries > 1 && hasStepped(this.#clocks, before) ? this.read(request, tries - 1) : read;
    return request.epochKey === undefined
      ? this.#readBy(this.#strategy, request, awake)
      : this.#readWithEpoch(request).then(awake);
  }

  async #readWithEpoch(request: ReadRequest): Promise<RawReading> {
    const withoutEpoch = { ...request, epochKey: undefined };
    const strategy = this.#strategy;
    if (!this.#mayReadEpoch) return this.#readBy(strategy, withoutEpoch);
    try {
      return await this.#strategyAt(strategy)(this.#connection, request, this.#clocks);
    } catch (error) {
      if (isNotOfStrategy(error)) throw error;
    }
    // Redis refused either the strategy or the epoch key: if the same strategy works without the epoch key, it was that key.
    const reading = await this.#readBy(strategy, withoutEpoch);
    if (this.#strategy === strategy) this.#mayReadEpoch = false;
    return reading;
  }

  /** Tries one strategy after the other, from index `at` on. */
  #readBy(
    at: number,
    request: ReadRequest,
    use: (read: RawReading) => RawReading | Promise<RawReading> = (read) => read,
  ): Promise<RawReading> {
    return this.#strategyAt(at)(this.#connection, request, this.#clocks).then(
      (read) => {
        // Only a success shows that the earlier strategies are refused; a refused key is refused under each of them.
        this.#strategy = at;
        return use(read);
      },
      (error: unknown) => {
        if (isNotOfStrategy(error) || at >= SCRIPTS.length) throw error;
        return this.#readBy(at + 1, request, use);
      },
    );
  }

  #strategyAt(at: number): ReadStrategy {
    return SCRIPTS[at] ?? this.#pipeline.read;
  }
}

/** Whether every other strategy would fail in the same way. */
function isNotOfStrategy(error: unknown): boolean {
  const word = replyWord(error);
  return word === undefined || word === 'NOAUTH' || isPassing(word);
}

/** Ties a reading to the clock of the server that was read. */
export function toObservation(reading: RawReading, time: ServerTime): Observation {
  time.sample(reading.serverNow, reading.sentAt, reading.receivedAt);
  const { content, expiresAt, toleranceMs, serverNow } = reading;
  return { content, expiresAt, toleranceMs, serverNow, time };
}

const byScript =
  (script: Script, evalsha: string, evaluate: string, toleranceMs: number): ReadStrategy =>
  (connection, { key, maxBytes, epochKey }, clocks) => {
    const size = String(maxBytes);
    const rest = epochKey === undefined ? ['1', key, size] : ['2', key, epochKey, size];
    const sentAt = clocks.monotonic();
    return runScript(connection, script, evalsha, evaluate, rest, (reply): RawReading => {
      replyList(reply, epochKey === undefined ? 6 : 7);
      replyNames(reply[1], key);
      const end = replyEnd(reply[4]);
      return {
        content: replyContent(reply[2], reply[3], end, maxBytes),
        expiresAt: end < 0 ? undefined : end,
        toleranceMs,
        serverNow: replyInstant(replyCount(reply[5]) / 1000),
        sentAt,
        receivedAt: clocks.monotonic(),
        epoch: epochKey === undefined ? undefined : replyEpoch(reply[6]),
      };
    });
  };

/** `undefined` for content that is not ours. @throws MalformedReplyError */
function replyEpoch(reply: unknown): string | null | undefined {
  if (reply === null) return null;
  return reply === -1 ? undefined : replyBytes(reply, EPOCH_BYTES).toString();
}

const SCRIPTS: readonly ReadStrategy[] = [
  // EVAL_RO needs no write permission, and tells Redis that the script does not write.
  byScript(READ, 'EVALSHA_RO', 'EVAL_RO', 0),
  byScript(READ_BY_PTTL, 'EVALSHA', 'EVAL', 1),
];

/** The content of a key in the reply of a script. @throws MalformedReplyError */
export function replyContent(
  size: unknown,
  bytes: unknown,
  end: number,
  maxBytes: number,
): Content {
  const length = replyWhole(size, -1);
  if (bytes !== null) {
    if (end === -2 || replyBytes(bytes, maxBytes).length !== length) malformed();
    return { type: 'bytes', bytes: bytes as Buffer };
  }
  if (length === 0 ? end !== -2 : end === -2) malformed();
  if (length === 0) return ABSENT;
  if (length < 0) return WRONG_TYPE;
  return length > maxBytes ? TOO_LARGE : malformed();
}

/**
 * Calls the script by its digest first, and sends its text if Redis forgot it in a restart. The script gets the number of the question after
 * the other arguments, and its reply begins with that number.
 *
 * @param read - parses the reply, in which strings are bytes
 */
export function runScript<R>(
  connection: CommandConnection,
  { sha, text }: Script,
  evalsha: string,
  evaluate: string,
  rest: readonly string[],
  read: (reply: readonly unknown[]) => R,
): Promise<R> {
  const run = (command: string, script: string): Promise<R> =>
    connection.call(
      (client, question) => client.callBuffer(command, script, ...rest, String(question)),
      (reply, question) => {
        const parts = replyList(reply);
        return parts[0] === question ? read(parts) : malformed();
      },
    );
  return run(evalsha, sha).catch((error: unknown) => {
    if (replyWord(error) !== 'NOSCRIPT') throw error;
    return run(evaluate, text);
  });
}
