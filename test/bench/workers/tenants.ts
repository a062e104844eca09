import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

import type { ObservableCredentialStore, RedisCredentialDirectory } from 'credstream';
import type { Redis } from 'ioredis';

import { connect } from '../../support/redis-clients.js';
import { percentile } from '../statistics.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

interface Tokens {
  readonly accessToken: string;
  readonly at?: number;
}

const PREFIX = 'bench:';
const CHUNK = 1_000;

let client: Redis;
let directory: RedisCredentialDirectory<Tokens>;
let stores: ObservableCredentialStore<Tokens>[] = [];

const idOf = (nth: number): string => `tenant-${String(nth).padStart(8, '0')}`;
const valueOf = (nth: number, at?: number): string =>
  JSON.stringify({ accessToken: `token-${String(nth)}`, at });

/** In pieces, as anybody would do it who cares for the server. */
async function inChunks(count: number, send: (from: number, to: number) => Promise<unknown>) {
  for (let from = 0; from < count; from += CHUNK) await send(from, Math.min(from + CHUNK, count));
}

async function timed(work: () => Promise<unknown>): Promise<{ ms: number; delayMs: number }> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  histogram.disable();
  return { ms, delayMs: histogram.percentile(99) / 1e6 };
}

async function heapEach(count: number, before: number): Promise<number> {
  await delay(300);
  globalThis.gc?.();
  globalThis.gc?.();
  return (process.memoryUsage().heapUsed - before) / count;
}

function heapNow(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const isLive = (link: string): boolean => link === 'live';

/** Resolves when the status has left `live` and come back. */
function livesAgain(one: Pick<ObservableCredentialStore<Tokens>, 'status$'>): Promise<void> {
  return new Promise((resolve) => {
    let left = false;
    const subscription = one.status$.subscribe(({ link }) => {
      if (!isLive(link)) left = true;
      else if (left) {
        setImmediate(() => subscription.unsubscribe());
        resolve();
      }
    });
  });
}

const calls = {
  async open({ url }: { url: string }) {
    client = connect(url, { connectionName: 'caller' });
    await client.ping();
    directory = new credstream.RedisCredentialDirectory<Tokens>(client, { prefix: PREFIX });
  },

  async fill({ count }: { count: number }) {
    await inChunks(count, (from, to) => {
      const pipeline = client.pipeline();
      for (let nth = from; nth < to; nth += 1)
        pipeline.set(PREFIX + idOf(nth), valueOf(nth), 'PX', 86_400_000 + nth);
      return pipeline.exec();
    });
  },

  /** The same keys by hand. */
  raw({ count }: { count: number }) {
    return timed(() =>
      inChunks(count, (from, to) => {
        const pipeline = client.pipeline();
        for (let nth = from; nth < to; nth += 1)
          pipeline.get(PREFIX + idOf(nth)).pttl(PREFIX + idOf(nth));
        return pipeline.exec();
      }),
    );
  },

  /** What the decoded values take by themselves. */
  async values({ count }: { count: number }) {
    const before = heapNow();
    const values: unknown[] = [];
    await inChunks(count, async (from, to) => {
      const replies = await client.mget(
        ...Array.from({ length: to - from }, (_, nth) => PREFIX + idOf(from + nth)),
      );
      for (const [nth, text] of replies.entries())
        values.push([idOf(from + nth), JSON.parse(text ?? 'null')]);
    });
    const each = await heapEach(count, before);
    return values.length === count ? each : NaN;
  },

  async track({ count }: { count: number }) {
    const before = heapNow();
    const live = await timed(() => directory.ready());
    return { ...live, heapEach: await heapEach(count, before) };
  },

  async watch({ count }: { count: number }) {
    const before = heapNow();
    const live = await timed(async () => {
      // In pieces of the same size as by hand, each awaited, as a sensible user would: hundreds of stores made in every turn, without waiting
      // for any, keep everybody else in the process waiting, and the delay that is measured is mostly that of the loop that makes them.
      await inChunks(count, (from, to) => {
        const opening: Promise<void>[] = [];
        for (let nth = from; nth < to; nth += 1) {
          const store = directory.store(idOf(nth));
          stores.push(store);
          opening.push(store.ready());
        }
        return Promise.all(opening);
      });
    });
    return { ...live, heapEach: await heapEach(count, before) };
  },

  /** From the end of the link until all is known again. */
  async resync({ tracked }: { tracked: boolean }) {
    const waiting = [
      ...(tracked ? [livesAgain(directory)] : []),
      ...(stores.length > 0 ? [livesAgain(stores[0]!), livesAgain(stores.at(-1)!)] : []),
    ];
    return timed(async () => {
      await client.client('KILL', 'TYPE', 'PUBSUB');
      await Promise.all(waiting);
      let next = 0;
      while (next < stores.length) {
        while (next < stores.length && isLive(stores[next]!.status.link)) next += 1;
        if (next < stores.length) await delay(1);
      }
    });
  },

  /** Iterates over all changes, so many times side by side, until each has seen the last one. */
  async observe({ observers, last }: { observers: number; last: string }) {
    await directory.ready();
    const lags = await Promise.all(
      Array.from({ length: observers }, async () => {
        const lag: number[] = [];
        for await (const change of directory) {
          if (change.id === last) break;
          if (change.type === 'saved') lag.push(Date.now() - (change.credentials.at ?? 0));
        }
        return lag;
      }),
    );
    return {
      seen: Math.min(...lags.map((lag) => lag.length)),
      p50: Math.max(...lags.map((lag) => percentile(lag, 0.5))),
      p99: Math.max(...lags.map((lag) => percentile(lag, 0.99))),
    };
  },

  /** Writes other bytes at so many keys a second, and then the last one. */
  async churn({
    count,
    perSecond,
    ms,
    last,
  }: {
    count: number;
    perSecond: number;
    ms: number;
    last: string;
  }) {
    const every = 5;
    const each = Math.round((perSecond * every) / 1_000);
    const startedAt = performance.now();
    let sent = 0;
    for (let tick = 0; tick * every < ms; tick += 1) {
      const wait = startedAt + tick * every - performance.now();
      if (wait > 1) await delay(wait);
      const pipeline = client.pipeline();
      const at = Date.now();
      for (let one = 0; one < each; one += 1) {
        sent += 1;
        const nth = (sent * 7_919) % count;
        pipeline.set(PREFIX + idOf(nth), valueOf(sent, at), 'PX', 86_400_000);
      }
      void pipeline.exec();
    }
    const tookMs = performance.now() - startedAt;
    await delay(200);
    await client.set(PREFIX + last, valueOf(-1, Date.now()));
    return { sent, tookMs };
  },

  async close() {
    await directory.close();
    stores = [];
  },
};
export type TenantsCalls = typeof calls;

serve(calls);
