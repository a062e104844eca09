import { connect } from '../../support/redis-clients.js';
import { eventually } from '../../support/wait.js';
import { now } from './instants.js';
import { openStore, type Place, type Token } from './open-store.js';
import { serve } from './serve.js';

/** When each number arrived. */
const observed = new Map<number, number>();

const calls = {
  async open(place: Place): Promise<void> {
    const { url, channel, keyByHand, channelByHand } = place;
    const store = openStore(place);
    store.changes$.subscribe((change) => {
      if (change.type === 'saved') observed.set(change.snapshot.credentials.number, now());
    });
    await store.ready();
    const plain = connect(url);
    const reader = connect(url);
    const readByHand = async (): Promise<void> => {
      const token = JSON.parse((await reader.get(keyByHand)) ?? '{}') as Token;
      observed.set(token.number, now());
    };
    plain.on('message', (from: string, message: string) => {
      if (from === channel) observed.set(Number(message), now());
      else void readByHand();
    });
    await plain.subscribe(channel, channelByHand);
  },
  /** Waits for the last of them; null for what never came. */
  async take({ first, count }: { first: number; count: number }): Promise<(number | null)[]> {
    await eventually(() => observed.has(first + count - 1));
    const instants = Array.from({ length: count }, (_, nth) => observed.get(first + nth) ?? null);
    observed.clear();
    return instants;
  },
};
export type ObserverCalls = typeof calls;

serve(calls);
