import type { Clock } from '../../time/clock.js';
import type { Observation } from '../../backend/backend.js';
import type { Content } from '../../credential/content.js';
import { hasStepped, wallOffset, type ServerTime } from '../../time/server-time.js';
import { isPassing, ConnectionLostError, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { READ, READ_BY_PTTL, type Script } from './scripts.js';

/** The result of one reading, before it is tied to a clock. */
export interface RawReading {
  readonly content: Content;
  readonly expiresAt: number | undefined;
  readonly toleranceMs: number;
  readonly serverNow: number;
  /** The server read the key between these two monotonic instants. */
  readonly sentAt: number;
  readonly receivedAt: number;
  /** The content of the epoch key, `null` for an absent one; `undefined` when the request had none. */
  readonly epoch: string | null | undefined;
}

export interface ReadRequest {
  readonly key: string;
  readonly maxBytes: number;
  readonly epochKey: string | undefined;
}

type Clocks = Pick<Clock, 'now' | 'monotonic'>;

type ReadStrategy = (
  connection: CommandConnection,
  request: ReadRequest,
  clocks: Clocks,
) => Promise<RawReading>;

/** A clock that never comes to rest must not block a reader. */
const TRIES = 5;
/** Values that are read apart may disagree when something changed in between; a key that is written faster than this cannot be read. */
const TORN_TRIES = 100;
/** The uncertainty of a server time that is taken from this machine's clock. */
const CLOCK_WOBBLE_MS = 50;

/** Reads keys over one connection, by the best strategy that Redis permits this user. */
export class Reader {
  readonly #connection: CommandConnection;
  readonly #clocks: Clocks;
  /** Index into {@link STRATEGIES}. */
  #strategy = 0;
  #mayReadEpoch = true;

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
      return await (STRATEGIES[strategy] ?? byPipeline)(this.#connection, request, this.#clocks);
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
    return (STRATEGIES[at] ?? byPipeline)(this.#connection, request, this.#clocks).then(
      (read) => {
        // Only a success shows that the earlier strategies are refused; a refused key is refused under each of them.
        this.#strategy = at;
        return use(read);
      },
      (error: unknown) => {
        if (isNotOfStrategy(error) || at >= STRATEGIES.length - 1) throw error;
        return this.#readBy(at + 1, request, use);
      },
    );
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

/** The reply of {@link READ}. */
type ScriptReply = [
  size: number,
  bytes: Buffer | null,
  end: number,
  micros: number,
  epoch?: Buffer | null,
];

const byScript =
  (script: Script, evalsha: string, evaluate: string, toleranceMs: number): ReadStrategy =>
  (connection, { key, maxBytes, epochKey }, clocks) => {
    const size = String(maxBytes);
    const rest = epochKey === undefined ? ['1', key, size] : ['2', key, epochKey, size];
    const sentAt = clocks.monotonic();
    return runScript(connection, script, evalsha, evaluate, rest, (reply): RawReading => {
      const [length, bytes, end, micros, epoch] = reply as ScriptReply;
      return {
        content: contentOf(length, bytes),
        expiresAt: end < 0 ? undefined : end,
        toleranceMs,
        serverNow: micros / 1000,
        sentAt,
        receivedAt: clocks.monotonic(),
        epoch: epochKey === undefined ? undefined : (epoch?.toString() ?? null),
      };
    });
  };

/**
 * Without scripts, bytes and end are read apart, twice, and accepted when both readings agree. Not in a transaction: on a subscribed
 * connection a message can land inside the array of its reply.
 */
const byPipeline: ReadStrategy = async (connection, { key, maxBytes, epochKey }, clocks) => {
  const foreign = await foreignContent(connection, key, maxBytes);
  for (let tries = 1; ; tries += 1) {
    const sentAt = clocks.monotonic();
    const replies = await connection.call(async (client) => {
      // A connection that needs a transaction is never a subscribed one.
      const first = (connection.oneCommandOnly ? client.multi() : client.pipeline()).pttl(key);
      // Foreign content is not transferred, only checked.
      const second = foreign === undefined ? first.getBuffer(key) : first.strlen(key);
      const third = second.pttl(key);
      const fourth = foreign === undefined ? third.getBuffer(key) : third.strlen(key);
      const pipeline = fourth.time();
      return (await (epochKey === undefined ? pipeline : pipeline.get(epochKey)).exec()) ?? [];
    });
    const receivedAt = clocks.monotonic();
    const [before, bytes, after, again, time, epoch] = replies.map(([error, value]) => ({
      error,
      value,
    }));
    const lost = replies.find(([error]) => error !== null && replyWord(error) === undefined);
    if (lost !== undefined) throw new ConnectionLostError(true);
    if (before?.error) throw before.error;
    if (bytes?.error && replyWord(bytes.error) !== 'WRONGTYPE') throw bytes.error;
    const value = foreign === undefined ? ((bytes?.value ?? null) as Buffer | null) : null;
    const left = Number(after?.value);
    const passed = Number(before?.value) - left;
    const took = receivedAt - sentAt;
    const absent = value === null && foreign === undefined && !bytes?.error;
    const agree =
      isSame(bytes?.value, again?.value) &&
      absent === (left === -2) &&
      (left < 0 ? passed === 0 : passed >= 0 && passed <= took + 1);
    if (!agree) {
      // A torn reading must not become a state; a new connection is the lesser harm.
      if (tries === TORN_TRIES) throw new ConnectionLostError(true);
      continue;
    }
    const [seconds, micros] = (time?.value ?? []) as (number | string)[];
    const serverNow = time?.error ? clocks.now() : Number(seconds) * 1000 + Number(micros) / 1000;
    return {
      content: foreign ?? (bytes?.error ? wrongType : contentWithin(value, maxBytes)),
      expiresAt: left < 0 ? undefined : Math.round(serverNow + left),
      toleranceMs: Math.ceil(took) + 2 + (time?.error ? CLOCK_WOBBLE_MS : 0),
      serverNow,
      sentAt,
      receivedAt,
      epoch: epochKey === undefined || epoch?.error ? undefined : (epoch?.value as string | null),
    };
  }
};

const STRATEGIES: readonly ReadStrategy[] = [
  // EVAL_RO needs no write permission, and tells Redis that the script does not write.
  byScript(READ, 'EVALSHA_RO', 'EVAL_RO', 0),
  byScript(READ_BY_PTTL, 'EVALSHA', 'EVAL', 1),
  byPipeline,
];

const wrongType: Content = { type: 'foreign', reason: 'wrong-type' };
const tooLarge: Content = { type: 'foreign', reason: 'too-large' };

/** STRLEN may be refused too; then a large value is transferred. */
async function foreignContent(
  connection: CommandConnection,
  key: string,
  maxBytes: number,
): Promise<Content | undefined> {
  try {
    const size = await connection.call((client) => client.strlen(key));
    return size > maxBytes ? tooLarge : undefined;
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return word === 'WRONGTYPE' ? wrongType : undefined;
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b;
}

/** @param size - negative for another type than a string */
export function contentOf(size: number, bytes: Buffer | null): Content {
  if (size < 0) return wrongType;
  if (bytes !== null) return { type: 'bytes', bytes };
  return size > 0 ? tooLarge : { type: 'absent' };
}

/** Where STRLEN is refused, or came too early, only the value itself shows the size. */
function contentWithin(value: Buffer | null, maxBytes: number): Content {
  if (value === null) return { type: 'absent' };
  return value.length > maxBytes ? tooLarge : { type: 'bytes', bytes: value };
}

/**
 * Calls the script by its digest first, and sends its text if Redis forgot it in a restart. Returns the result of `read` on the reply, in
 * which strings are bytes.
 */
export function runScript<R>(
  connection: CommandConnection,
  { sha, text }: Script,
  evalsha: string,
  evaluate: string,
  rest: readonly string[],
  read: (reply: unknown) => R,
): Promise<R> {
  return connection
    .call((client) => client.callBuffer(evalsha, sha, ...rest))
    .then(read, (error: unknown) => {
      if (replyWord(error) !== 'NOSCRIPT') throw error;
      return connection.call((client) => client.callBuffer(evaluate, text, ...rest)).then(read);
    });
}
