import type { Clock } from '../../time/clock.js';
import type { Observation } from '../../backend/backend.js';
import { hasStepped, wallOffset, type ServerTime } from '../../time/server-time.js';
import { isCommandRefused, isPassing, replyWord } from '../reply-errors.js';
import type { Connection } from '../connection/connection.js';
import { replyCount, replyEnd, replyInstant, replyList, replyNames } from '../reply-parser.js';
import { replyContent, runScript, toObservation } from './reader.js';
import type { RawReading } from './raw-reading.js';
import { READ_MANY, READ_MANY_BY_PTTL, type Script } from './scripts.js';

/** Bytes per reply; a key that does not fit is read alone. */
const ANSWER_BYTES = 1_048_576;
/** The size that marks a key that did not fit. */
const LEFT_OUT = -2;
/** The elements of a reply before the first key, and those of each key. */
const HEAD = 2;
const FIELDS = 4;

interface ReadStrategy {
  readonly script: Script;
  readonly evalsha: string;
  readonly evaluate: string;
  readonly toleranceMs: number;
}

const STRATEGIES: readonly ReadStrategy[] = [
  { script: READ_MANY, evalsha: 'EVALSHA_RO', evaluate: 'EVAL_RO', toleranceMs: 0 },
  { script: READ_MANY_BY_PTTL, evalsha: 'EVALSHA', evaluate: 'EVAL', toleranceMs: 1 },
];

/** Reads many keys by one command over one connection, as far as Redis permits this user. */
export class BatchReader {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #time: ServerTime;
  #strategy = 0;

  constructor(connection: Connection, clock: Clock, time: ServerTime) {
    this.#connection = connection;
    this.#clock = clock;
    this.#time = time;
  }

  /** One observation per key; `undefined` for a key that is to be read alone. @throws ConnectionLostError, or a passing error reply */
  async read(
    keys: readonly string[],
    maxBytes: number,
  ): Promise<readonly (Observation | undefined)[]> {
    if (!this.#connection.canReadWhileSubscribed) return [];
    const before = wallOffset(this.#clock);
    for (
      let strategy = STRATEGIES[this.#strategy];
      strategy !== undefined;
      strategy = STRATEGIES[this.#strategy]
    ) {
      try {
        const readings = await this.#readBy(strategy, keys, maxBytes);
        // A reply that lay in a buffer while the machine slept shows an earlier time.
        return hasStepped(this.#clock, before) ? [] : readings;
      } catch (error) {
        const word = replyWord(error);
        if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
        // One refused key says nothing about the others; single reads show which one it is.
        if (!isCommandRefused(error)) return [];
        // Concurrent reads may have moved on to the next strategy already.
        if (STRATEGIES[this.#strategy] === strategy) this.#strategy += 1;
      }
    }
    return [];
  }

  #readBy(
    { script, evalsha, evaluate, toleranceMs }: ReadStrategy,
    keys: readonly string[],
    maxBytes: number,
  ): Promise<(Observation | undefined)[]> {
    const sentAt = this.#clock.monotonic();
    const args = [String(keys.length), ...keys, String(maxBytes), String(ANSWER_BYTES)];
    return runScript(this.#connection, script, evalsha, evaluate, args, (reply) => {
      const receivedAt = this.#clock.monotonic();
      replyList(reply, HEAD + keys.length * FIELDS);
      const serverNow = replyInstant(replyCount(reply[1]) / 1000);
      const raw = keys.map((key, index): RawReading | undefined => {
        const at = HEAD + index * FIELDS;
        replyNames(reply[at], key);
        if (reply[at + 1] === LEFT_OUT) return undefined;
        const end = replyEnd(reply[at + 3]);
        return {
          content: replyContent(reply[at + 1], reply[at + 2], end, maxBytes),
          expiresAt: end < 0 ? undefined : end,
          toleranceMs,
          serverNow,
          sentAt,
          receivedAt,
          epoch: undefined,
        };
      });
      // Only a reply that is right as a whole is evidence of the server's clock.
      return raw.map((reading) => reading && toObservation(reading, this.#time));
    });
  }
}
