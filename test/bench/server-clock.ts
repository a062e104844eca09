import type { Redis } from 'ioredis';

import { now } from './workers/instants.js';

/** What is between the server's clock and the monotonic one of this machine, in microseconds. */
export interface ClockOffset {
  readonly low: number;
  readonly high: number;
}

const SAMPLES = 100;

/** The server's clock showed each sample at some moment between sending and receiving; all of them must hold. */
export async function clockOffset(redis: Redis): Promise<ClockOffset> {
  let low = -Infinity;
  let high = Infinity;
  for (let nth = 0; nth < SAMPLES; nth += 1) {
    const sentAt = now();
    const [seconds, micros] = await redis.time();
    const receivedAt = now();
    const shown = Number(seconds) * 1e6 + Number(micros);
    low = Math.max(low, shown - receivedAt);
    high = Math.min(high, shown - sentAt);
  }
  return { low, high };
}
