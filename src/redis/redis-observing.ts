import type { Redis } from 'ioredis';
import type { Clock } from '../clock.js';
import type { Content, Observation } from '../credential-backend.js';
import { hasStepped, wallOffset, type ServerTime } from '../server-time.js';
import { isPassing, LinkLostError, replyWord } from './redis-errors.js';
import type { RedisLink } from './redis-link.js';
import { LOOK, LOOK_BY_PTTL, type RedisScript } from './redis-scripts.js';

/** What one look brought, before it is tied to a clock. */
export interface Look {
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

interface Request {
  readonly key: string;
  readonly maxBytes: number;
  readonly epochKey: string | undefined;
}

type Clocks = Pick<Clock, 'now' | 'monotonic'>;

type Means = (link: RedisLink, request: Request, clocks: Clocks) => Promise<Look>;

/** A clock that never comes to rest must not keep anybody waiting. */
const TRIES = 5;
/** What is read apart may disagree, when something changed in between; a key that is written faster than that cannot be read. */
const TORN_TRIES = 100;
/** How far a server time that had to be taken from this machine's clock may wobble. */
const CLOCK_WOBBLE_MS = 50;

/** Looks at keys over one link, by the best means that Redis lets this user have. */
export class RedisObserver {
  readonly #link: RedisLink;
  readonly #clocks: Clocks;
  /** Index into {@link MEANS}. */
  #means = 0;
  #mayReadEpoch = true;

  constructor(link: RedisLink, clocks: Clocks) {
    this.#link = link;
    this.#clocks = clocks;
  }

  /** @throws LinkLostError, or an error reply of Redis */
  async look(request: Request): Promise<Look> {
    for (let tries = 1; ; tries += 1) {
      const before = wallOffset(this.#clocks);
      const look = await this.#lookOnce(request);
      // An answer that lay in a buffer while the machine slept tells of a time before; nobody knows how long ago that is.
      if (!hasStepped(this.#clocks, before) || tries === TRIES) return look;
    }
  }

  async #lookOnce(request: Request): Promise<Look> {
    if (request.epochKey === undefined) return this.#lookBy(request);
    const withoutEpoch = { ...request, epochKey: undefined };
    if (!this.#mayReadEpoch) return this.#lookBy(withoutEpoch);
    const means = this.#means;
    try {
      return await (MEANS[means] ?? byPipeline)(this.#link, request, this.#clocks);
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
    }
    // Either the means is refused or the epoch is: where the same means works without the epoch, it is the epoch.
    const look = await this.#lookBy(withoutEpoch);
    if (this.#means === means) this.#mayReadEpoch = false;
    return look;
  }

  async #lookBy(request: Request): Promise<Look> {
    for (let at = this.#means; ; at += 1) {
      try {
        const look = await (MEANS[at] ?? byPipeline)(this.#link, request, this.#clocks);
        // Only a success says that the means before it are not to be had; a refused key is refused by all of them.
        this.#means = at;
        return look;
      } catch (error) {
        const word = replyWord(error);
        const everyMeansFails = word === undefined || word === 'NOAUTH' || isPassing(word);
        if (everyMeansFails || at >= MEANS.length - 1) throw error;
      }
    }
  }
}

/** Ties a look to the clock of the server that was looked at. */
export function toObservation(look: Look, time: ServerTime): Observation {
  time.sample(look.serverNow, look.sentAt, look.receivedAt);
  const { content, expiresAt, toleranceMs, serverNow } = look;
  return { content, expiresAt, toleranceMs, serverNow, time };
}

const byScript =
  (script: RedisScript, evalsha: string, evaluate: string, toleranceMs: number): Means =>
  async (link, { key, maxBytes, epochKey }, clocks) => {
    const keys = epochKey === undefined ? [key] : [key, epochKey];
    const rest = [String(keys.length), ...keys, String(maxBytes)];
    const sentAt = clocks.monotonic();
    const reply = await runScript(link, script, evalsha, evaluate, rest);
    const receivedAt = clocks.monotonic();
    const [kind, bytes, end, seconds, micros, epoch] = reply as (Buffer | null)[];
    const expiresAt = Number(end);
    return {
      content: contentOf(String(kind), bytes ?? null),
      expiresAt: expiresAt < 0 ? undefined : expiresAt,
      toleranceMs,
      serverNow: Number(seconds) * 1000 + Number(micros) / 1000,
      sentAt,
      receivedAt,
      epoch: epochKey === undefined ? undefined : (epoch?.toString() ?? null),
    };
  };

/**
 * Without scripts, bytes and end are read apart, twice, and believed when both readings agree. Not in a transaction: on a subscribed
 * connection a message can land inside the array that answers it.
 */
const byPipeline: Means = async (link, { key, maxBytes, epochKey }, clocks) => {
  const foreign = await foreignContent(link, key, maxBytes);
  for (let tries = 1; ; tries += 1) {
    const sentAt = clocks.monotonic();
    const replies = await link.call(async (client) => {
      const first = client.pipeline().pttl(key);
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
    if (lost !== undefined) throw new LinkLostError(true);
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
      if (tries === TORN_TRIES) throw new LinkLostError(true);
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

const MEANS: readonly Means[] = [
  // EVAL_RO needs no right to write, and tells Redis that nothing will be written.
  byScript(LOOK, 'EVALSHA_RO', 'EVAL_RO', 0),
  byScript(LOOK_BY_PTTL, 'EVALSHA', 'EVAL', 1),
  byPipeline,
];

const wrongType: Content = { type: 'foreign', reason: 'wrong-type' };

/** STRLEN may be refused too; then a large value is fetched. */
async function foreignContent(
  link: RedisLink,
  key: string,
  maxBytes: number,
): Promise<Content | undefined> {
  try {
    const size = await link.call((client) => client.strlen(key));
    return size > maxBytes ? { type: 'foreign', reason: 'too-large' } : undefined;
  } catch (error) {
    const word = replyWord(error);
    if (word === undefined || isPassing(word)) throw error;
    return word === 'WRONGTYPE' ? wrongType : undefined;
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b;
}

function contentOf(kind: string, bytes: Buffer | null): Content {
  if (kind === 'wrong-type' || kind === 'too-large') return { type: 'foreign', reason: kind };
  return bytes === null ? { type: 'absent' } : { type: 'bytes', bytes };
}

/** Where STRLEN is refused, or was too early, the size shows only now. */
function contentWithin(value: Buffer | null, maxBytes: number): Content {
  if (value === null) return { type: 'absent' };
  return contentOf(value.length > maxBytes ? 'too-large' : 'bytes', value);
}

/** By name first; Redis forgets scripts when it restarts. Gives the reply with its strings as bytes. */
export async function runScript(
  link: RedisLink,
  script: RedisScript,
  evalsha: string,
  evaluate: string,
  rest: readonly string[],
): Promise<unknown> {
  const run = (command: string, what: string) =>
    link.call((client: Redis) => client.callBuffer(command, what, ...rest));
  try {
    return await run(evalsha, script.sha);
  } catch (error) {
    if (replyWord(error) !== 'NOSCRIPT') throw error;
    return run(evaluate, script.text);
  }
}
