import { connect } from '../../support/redis-clients.js';
import { eventually } from '../../support/wait.js';
import { now } from './instants.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

interface Token {
  readonly nth: number;
}

type Store = InstanceType<typeof credstream.RedisCredentialStore<Token>>;

const stores: Store[] = [];
/** When each was seen to be saved and to expire. */
const saved = new Set<number>();
const expired = new Map<number, number>();

const calls = {
  async open({ url, keys }: { url: string; keys: readonly string[] }): Promise<void> {
    const client = connect(url);
    for (const key of keys) {
      const store = new credstream.RedisCredentialStore<Token>(client, { key });
      stores.push(store);
      store.changes$.subscribe((change) => {
        if (change.type === 'expired') expired.set(change.previous!.credentials.nth, now());
        if (change.type === 'saved') saved.add(change.snapshot.credentials.nth);
      });
    }
    await Promise.all(stores.map((store) => store.ready()));
  },
  /** Resolves when what was written has been seen, so that its end can be. */
  saved: async (): Promise<void> => {
    await eventually(() => saved.size === stores.length);
  },
  /** When each expired, null for not yet; and forgets it. */
  take(): (number | null)[] {
    const instants = stores.map((_, nth) => expired.get(nth) ?? null);
    saved.clear();
    expired.clear();
    return instants;
  },
  /** How long reads take, one after the other, in microseconds. */
  async reads(count: number): Promise<number[]> {
    const took: number[] = [];
    for (let nth = 0; nth < count; nth += 1) {
      const startedAt = now();
      await stores[nth % stores.length]?.read();
      took.push(now() - startedAt);
    }
    return took;
  },
};
export type ExpiryWatcherCalls = typeof calls;

serve(calls);
