import { setImmediate as turn } from 'node:timers/promises';

import { connect } from '../../support/redis-clients.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

/** What is held, so that the collector leaves it alone. */
const held: unknown[] = [];

/** The token of an OAuth server with an hour to live. */
function serialized(nth: number, expiresAt: number): string {
  return JSON.stringify({ accessToken: `${nth}-`.padEnd(200, 'a'), expiresAt });
}

interface Token {
  readonly accessToken: string;
  readonly expiresAt: number;
}

const ENDS_AT = Date.now() + 3_600_000;
const TTL_SECONDS = 7_200;

async function heapUsed(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    await turn();
    globalThis.gc!();
  }
  return process.memoryUsage().heapUsed;
}

/** By how many bytes of heap `make` grows this process, for each of the things it makes. */
async function growth(count: number, make: () => Promise<unknown>): Promise<number> {
  const before = await heapUsed();
  held.push(await make());
  return ((await heapUsed()) - before) / count;
}

function keysOf(count: number): string[] {
  // Joined strings stay ropes until they are read; names that come from elsewhere are flat.
  return Array.from({ length: count }, (_, nth) => Buffer.from(`bench:token:${nth}`).toString());
}

const calls = {
  /** What the decoded values themselves take, and the names of their keys. */
  values: (count: number): Promise<number> =>
    growth(count, async () => [
      keysOf(count),
      Array.from({ length: count }, (_, nth): unknown => JSON.parse(serialized(nth, ENDS_AT))),
    ]),
  /** The least that remembers a value and forgets it on time. */
  map: (count: number): Promise<number> =>
    growth(count, async () => {
      const map = new Map<string, unknown>();
      for (const [nth, key] of keysOf(count).entries()) {
        const value: unknown = JSON.parse(serialized(nth, ENDS_AT));
        const timer = setTimeout(() => map.delete(key), TTL_SECONDS * 1_000);
        map.set(key, { value, timer });
      }
      return map;
    }),
  redis: async ({ url, count }: { url: string; count: number }): Promise<number> => {
    const client = connect(url);
    const writer = client.pipeline();
    for (const [nth, key] of keysOf(count).entries()) {
      writer.set(key, serialized(nth, ENDS_AT), 'EX', TTL_SECONDS);
    }
    await writer.exec();
    const open = (key: string) =>
      new credstream.RedisCredentialStore<Token>(client, {
        key,
        // Written as a method: tsx names every arrow function at run time, which takes 260 bytes for each.
        expiresAt(token) {
          return token.expiresAt;
        },
      });
    // Connections, scripts and compiled code are paid once, not for each credential.
    const first = open('bench:first');
    await first.ready();
    held.push(first);
    return growth(count, async () => {
      const stores = keysOf(count).map(open);
      await Promise.all(stores.map((store) => store.ready()));
      return stores;
    });
  },
  memory: async (count: number): Promise<number> => {
    const memory = new credstream.CredentialMemory();
    for (const [nth, key] of keysOf(count).entries()) {
      memory.set(key, serialized(nth, ENDS_AT), { ttlMs: TTL_SECONDS * 1_000 });
    }
    held.push(memory);
    return growth(count, async () => {
      const stores = keysOf(count).map(
        (key) =>
          new credstream.MemoryCredentialStore<Token>({
            key,
            memory: memory,
            expiresAt(token) {
              return token.expiresAt;
            },
          }),
      );
      await Promise.all(stores.map((store) => store.ready()));
      return stores;
    });
  },
};
export type HolderCalls = typeof calls;

serve(calls);
