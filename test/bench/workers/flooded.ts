import { connect } from '../../support/redis-clients.js';
import { now } from './instants.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

/** The instant at which each number was known here. */
const knownAt = new Map<number, number>();
let used = process.cpuUsage();
let since = now();

const calls = {
  async watch({ url, keys }: { url: string; keys: readonly string[] }): Promise<void> {
    const client = connect(url);
    const stores = keys.map(
      (key) => new credstream.RedisCredentialStore<{ number: number }>(client, { key }),
    );
    for (const store of stores)
      store.changes$.subscribe((change) => {
        if (change.type === 'saved') knownAt.set(change.snapshot.credentials.number, now());
      });
    await Promise.all(stores.map((store) => store.ready()));
  },
  /** By hand: all messages are received, and a notification leads to a GET. */
  async subscribe({ url, keys }: { url: string; keys: readonly string[] }): Promise<void> {
    const subscriber = connect(url);
    const reader = connect(url);
    subscriber.on('message', (channel: string) => {
      if (!channel.startsWith('__keyspace')) return;
      void reader.get(channel.slice(channel.indexOf(':') + 1)).then((text) => {
        const { number } = JSON.parse(text ?? '{}') as { number: number };
        if (!knownAt.has(number)) knownAt.set(number, now());
      });
    });
    await subscriber.subscribe(
      ...keys.flatMap((key) => [`__keyspace@0__:${key}`, `credstream:0:${key}`]),
    );
  },
  begin(): void {
    knownAt.clear();
    used = process.cpuUsage();
    since = now();
  },
  /** Gives the CPU milliseconds in a second since the beginning, and the instants of the numbers. */
  end(): { cpuMs: number; knownAt: [number, number][] } {
    const { user, system } = process.cpuUsage(used);
    return { cpuMs: ((user + system) / (now() - since)) * 1_000, knownAt: [...knownAt] };
  },
};
export type FloodedCalls = typeof calls;

serve(calls);
