import type { Redis } from 'ioredis';

import { monotonicMs } from '../monotonic-clock.js';
import type { Deadline } from './stage.js';

const SAMPLES = 9;

interface ClockOffset {
  /** To be added to an instant of the server to get one of the shared clock. */
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

/** The end of a key's TTL. The server counts in its own wall time, which may be off and on another machine. */
export async function serverDeadline(redis: Redis, key: string): Promise<Deadline> {
  const { offsetMs, uncertaintyMs } = await clockOffset(redis);
  const end = await endOf(redis, key);
  return { atMs: end.atMs + offsetMs, uncertaintyMs: uncertaintyMs + end.uncertaintyMs };
}

/** The server read its clock somewhere between our question and its answer; the quickest answer tells most. */
async function clockOffset(redis: Redis): Promise<ClockOffset> {
  let best: ClockOffset = { offsetMs: 0, uncertaintyMs: Infinity };
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const askedAt = monotonicMs();
    const serverTime = timeReply(await redis.time());
    const answeredAt = monotonicMs();
    const uncertaintyMs = (answeredAt - askedAt) / 2;
    if (uncertaintyMs >= best.uncertaintyMs) continue;
    best = { offsetMs: askedAt + uncertaintyMs - serverTime, uncertaintyMs };
  }
  return best;
}

async function endOf(redis: Redis, key: string): Promise<Deadline> {
  try {
    return { atMs: await redis.pexpiretime(key), uncertaintyMs: 0 };
  } catch {
    // Before Redis 7 only the time left can be asked for, in whole milliseconds.
    const replies = await redis.multi().time().pttl(key).exec();
    const [time, left] = replies!.map(([, reply]) => reply);
    return { atMs: timeReply(time as number[]) + Number(left), uncertaintyMs: 1 };
  }
}

function timeReply([seconds, microseconds]: readonly (number | string)[]): number {
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}
