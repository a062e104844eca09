import { setTimeout as delay } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import { connect } from '../../support/redis-clients.js';
import { now } from './instants.js';
import { serve } from './serve.js';

const heard = new Map<string, number>();
let client: Redis | undefined;
/** When the reads at the instants of the last call had been answered. */
let readAt: Promise<number>[] = [];

async function readOnTime(at: number): Promise<number> {
  // Whole milliseconds, as Node cuts off the rest and would be early.
  await delay(Math.ceil((at - now()) / 1_000));
  await client!.get('bench:nothing');
  return now();
}

const calls = {
  /** Listens for the `expired` events of the keys with a prefix. */
  async open({ url, prefix }: { url: string; prefix: string }): Promise<void> {
    const subscriber = connect(url);
    client = connect(url);
    subscriber.on('pmessage', (_pattern: string, channel: string, event: string) => {
      if (event === 'expired') heard.set(channel.slice(channel.indexOf(':') + 1), now());
    });
    await subscriber.psubscribe(`__keyspace@0__:${prefix}*`);
  },
  /** Reads at each instant of the common clock, by a plain timer. */
  readAt(instants: readonly number[]): void {
    readAt = instants.map(readOnTime);
  },
  takeReads: (): Promise<number[]> => Promise.all(readAt),
  /** When each was heard of, null for not yet; and forgets it. */
  take(keys: readonly string[]): (number | null)[] {
    const instants = keys.map((key) => heard.get(key) ?? null);
    heard.clear();
    return instants;
  },
};
export type EventListenerCalls = typeof calls;

serve(calls);
