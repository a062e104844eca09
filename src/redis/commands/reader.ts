import type { Clock } from '../../time/clock.js';
import type { Observation } from '../../backend/backend.js';
import type { Content } from '../../credential/content.js';
import { hasStepped, wallOffset, type ServerTime } from '../../time/server-time.js';
import { isPassing, ConnectionLostError, replyWord } from '../reply-errors.js';
import type { CommandConnection } from '../connection/connection.js';
import { READ, READ_BY_PTTL, type Script } from './scripts.js';

/** What one look brought, before it is tied to a clock. */
export interface RawReading {
  readonly content: Content;
  readonly expiresAt: number | undefined;
  readonly toleranceMs: number;
  readonly serverNow: number;
  /** Monotonic instants between which the server looked. */
  readonly sentAt: number;
  readonly receivedAt: number;
  /** What the epoch key held, `null` for nothing; `undefined` when it was not asked for. */
  readonly epoch: string | null | undefined;
}

export interface ReadRequest {
  readonly key: string;
  readonly maxBytes: number;
  readonly epochKey: string | undefined;
}

type Clocks = Pick<Clock, 'now' | 'monotonic'>;

type ReadStrategy = (
  link: CommandConnection,
  request: ReadRequest,
  clocks: Clocks,
) => Promise<RawReading>;

/** A clock that never comes to rest must not keep anybody waiting. */
const TRIES = 5;
/** What is read apart may disagree, when something changed in between; a key that is written faster than that cannot be read. */
const TORN_TRIES = 100;
/** How far a server time that had to be taken from this machine's clock may wobble. */
const CLOCK_WOBBLE_MS = 50;

/** Looks at keys over one link, by the best means that Redis lets this user have. */
export class Reader {
  readonly #connection: CommandConnection;
  readonly #clocks: Clocks;
  /** Index into {@link STRATEGIES}. */
  #strategy = 0;
  #mayReadEpoch = true;

  constructor(link: CommandConnection, clocks: Clocks) {
    this.#connection = link;
    this.#clocks = clocks;
  }

  /** Sends at once what is to be sent. @throws LinkLostError, or an error reply of Redis */
  read(request: ReadRequest, tries: number = TRIES): Promise<RawReading> {
    const before = wallOffset(this.#clocks);
    const awake = (read: RawReading): RawReading | Promise<RawReading> =>
      // An answer that lay in a buffer while the machine slept tells of a time before; nobody knows how long ago that is.
      tries > 1 && hasStepped(this.#clocks, before) ? this.read(request, tries - 1) : read;
    return request.epochKey === undefined
      ? this.#readBy(this.#strategy, request, awake)
      : this.#readWithEpoch(request).then(awake);
  }

  async #readWithEpoch(request: ReadRequest): Promise<RawReading> {
    const withoutEpoch = { ...request, epochKey: undefined };
    const means = this.#strategy;
    if (!this.#mayReadEpoch) return this.#readBy(means, withoutEpoch);
    try {
      return await (STRATEGIES[means] ?? byPipeline)(this.#connection, request, this.#clocks);
    } catch (error) {
      if (isNotOfStrategy(error)) throw error;
    }
    // Either the means is refused or the epoch is: where the same means works without the epoch, it is the epoch.
    const look = await this.#readBy(means, withoutEpoch);
    if (this.#strategy === means) this.#mayReadEpoch = false;
    return look;
  }

  /** Tries one means after the other from `at` on. */
  #readBy(
    at: number,
    request: ReadRequest,
    use: (read: RawReading) => RawReading | Promise<RawReading> = (read) => read,
  ): Promise<RawReading> {
    return (STRATEGIES[at] ?? byPipeline)(this.#connection, request, this.#clocks).then(
      (read) => {
        // Only a success says that the means before it are not to be had; a refused key is refused by all of them.
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

/** Whether another means would fail likewise. */
function isNotOfStrategy(error: unknown): boolean {
  const word = replyWord(error);
  return word === undefined || word === 'NOAUTH' || isPassing(word);
}

/** Ties a look to the clock of the server that was looked at. */
export function toObservation(look: RawReading, time: ServerTime): Observation {
  time.sample(look.serverNow, look.sentAt, look.receivedAt);
  const { content, expiresAt, toleranceMs, serverNow } = look;
  return { content, expiresAt, toleranceMs, serverNow, time };
}

/** What {@link READ} returns. */
type ScriptReply = [
  size: number,
  bytes: Buffer | null,
  end: number,
  micros: number,
  epoch?: Buffer | null,
];

const byScript =
  (script: Script, evalsha: string, evaluate: string, toleranceMs: number): ReadStrategy =>
  (link, { key, maxBytes, epochKey }, clocks) => {
    const size = String(maxBytes);
    const rest = epochKey === undefined ? ['1', key, size] : ['2', key, epochKey, size];
    const sentAt = clocks.monotonic();
    return runScript(link, script, evalsha, evaluate, rest, (reply): RawReading => {
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
 * Without scripts, bytes and end are read apart, twice, and believed when both readings agree. Not in a transaction: on a subscribed
 * connection a message can land inside the array that answers it.
 */
const byPipeline: ReadStrategy = async (link, { key, maxBytes, epochKey }, clocks) => {
  const foreign = await foreignContent(link, key, maxBytes);
  for (let tries = 1; ; tries += 1) {
    const sentAt = clocks.monotonic();
    const replies = await link.call(async (client) => {
      // Never on a subscribed connection where it has to be a transaction.
      const first = (link.asks ? client.multi() : client.pipeline()).pttl(key);
      // What is known to be foreign is not fetched, only looked at.
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
      // Never a state that was not: better a new link.
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
  // EVAL_RO needs no right to write, and tells Redis that nothing will be written.
  byScript(READ, 'EVALSHA_RO', 'EVAL_RO', 0),
  byScript(READ_BY_PTTL, 'EVALSHA', 'EVAL', 1),
  byPipeline,
];

const wrongType: Content = { type: 'foreign', reason: 'wrong-type' };
const tooLarge: Content = { type: 'foreign', reason: 'too-large' };

/** STRLEN may be refused too; then a large value is fetched. */
async function foreignContent(
  link: CommandConnection,
  key: string,
  maxBytes: number,
): Promise<Content | undefined> {
  try {
    const size = await link.call((client) => client.strlen(key));
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

/** Where STRLEN is refused, or was too early, the size shows only now. */
function contentWithin(value: Buffer | null, maxBytes: number): Content {
  if (value === null) return { type: 'absent' };
  return value.length > maxBytes ? tooLarge : { type: 'bytes', bytes: value };
}

/** By name first; Redis forgets scripts when it restarts. Gives what `read` makes of the reply, in which strings are bytes. */
export function runScript<R>(
  link: CommandConnection,
  { sha, text }: Script,
  evalsha: string,
  evaluate: string,
  rest: readonly string[],
  read: (reply: unknown) => R,
): Promise<R> {
  return link
    .call((client) => client.callBuffer(evalsha, sha, ...rest))
    .then(read, (error: unknown) => {
      if (replyWord(error) !== 'NOSCRIPT') throw error;
      return link.call((client) => client.callBuffer(evaluate, text, ...rest)).then(read);
    });
}
