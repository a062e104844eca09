import { setImmediate as turn } from 'node:timers/promises';

import { credstream } from './library.js';
import { serve } from './serve.js';

interface Token {
  readonly accessToken: string;
}

/** Each reads so many times and says how often something was there. */
interface Readable {
  readonly store: (reads: number) => number;
  readonly map: (reads: number) => number;
  /** Nothing but Node's two clocks. */
  readonly clocks: (reads: number) => number;
}

let readable: Readable | undefined;

async function open(): Promise<Readable> {
  const memory = new credstream.CredentialMemory();
  memory.set('bench', '{"accessToken":"a"}', { ttlMs: 3_600_000 });
  const store = new credstream.MemoryCredentialStore<Token>({ key: 'bench', memory: memory });
  await store.ready();
  const map = new Map([['bench', { expiresAt: Date.now() + 3_600_000 }]]);
  // A loop for each, so that none is compiled for the sake of the other.
  return {
    store: (reads) => {
      let there = 0;
      for (let nth = 0; nth < reads; nth += 1) if (store.current !== undefined) there += 1;
      return there;
    },
    map: (reads) => {
      let there = 0;
      for (let nth = 0; nth < reads; nth += 1) {
        const entry = map.get('bench');
        if (entry !== undefined && entry.expiresAt > Date.now()) there += 1;
      }
      return there;
    },
    clocks: (reads) => {
      let there = 0;
      for (let nth = 0; nth < reads; nth += 1) {
        if (Date.now() > 0 && performance.now() > 0) there += 1;
      }
      return there;
    },
  };
}

async function reading(how: keyof Readable, reads: number): Promise<void> {
  readable ??= await open();
  const there = readable[how](reads);
  if (there !== reads) throw new Error(`${reads - there} of ${reads} reads found nothing`);
}

const calls = {
  /** Nanoseconds of processor time per read: what others do on the machine is not counted. */
  async time({ how, reads }: { how: keyof Readable; reads: number }): Promise<number> {
    await reading(how, reads);
    const before = process.cpuUsage();
    await reading(how, reads);
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1_000) / reads;
  },
  /** By how many bytes per read the heap grows while nothing is collected. */
  async allocation({ how, reads }: { how: keyof Readable; reads: number }): Promise<number> {
    // More than once, so that the loop is compiled for good.
    for (let warm = 0; warm < 5; warm += 1) await reading(how, reads);
    globalThis.gc!();
    const before = process.memoryUsage().heapUsed;
    await reading(how, reads);
    return (process.memoryUsage().heapUsed - before) / reads;
  },
  /** By how many bytes the heap has grown once everything unused is collected. */
  async growth(reads: number): Promise<number> {
    const used = async (): Promise<number> => {
      await turn();
      globalThis.gc!();
      return process.memoryUsage().heapUsed;
    };
    await reading('store', reads);
    const before = await used();
    await reading('store', reads);
    return (await used()) - before;
  },
};
export type ReaderCalls = typeof calls;

serve(calls);
