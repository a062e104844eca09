import type { TcpProxy } from '../../support/tcp-proxy.js';
import type { RedisServer } from '../../support/redis-server/index.js';
import type { TextOptions, TextStore } from './faults.js';

/** Where a store may be when it is closed. */
export interface ClosingState {
  readonly name: string;
  readonly options?: TextOptions;
  /** For a URL with a user name. */
  readonly user?: string;
  /** Brings a store that is not used yet into the state. */
  readonly enter: (store: TextStore, network: TcpProxy, server: RedisServer) => unknown;
}

/** Redis waits for nothing of ours, so only what closing ends can end it. */
export const ENDLESS = {
  replyTimeoutMs: 600_000,
  heartbeatMs: 600_000,
  decodeTimeoutMs: 600_000,
  closeTimeoutMs: 700,
} as const;

let failures = 0;
let calls = 0;
const neverEnding = (): Promise<never> => {
  calls += 1;
  return new Promise<never>(() => {});
};

const ignore = (promise: Promise<unknown>): void => {
  promise.catch(() => {});
};

export const closingStates: readonly ClosingState[] = [
  { name: 'never used', enter: () => {} },
  { name: 'just asked to watch', enter: (store) => ignore(store.ready()) },
  {
    name: 'just asked to save and to load',
    enter: (store) => {
      ignore(store.save('v1'));
      ignore(store.load());
    },
  },
  { name: 'live', enter: (store) => store.ready() },
  {
    name: 'live, with an end to wait for',
    enter: async (store) => {
      await store.ready();
      store.expiring$(1_000).subscribe();
      await store.save('v1', { ttlSeconds: 600 });
    },
  },
  {
    name: 'cut off, with what it holds going stale',
    enter: async (store, network) => {
      await store.ready();
      await store.save('v1');
      network.refuse({ reset: true });
      await until(() => store.status.freshness === 'stale');
    },
  },
  {
    name: 'connecting to somebody who never answers',
    enter: async (store, network) => {
      await network.hold();
      ignore(store.ready());
      ignore(store.save('v1'));
      await until(() => network.connections >= 2);
    },
  },
  {
    name: 'waiting before another attempt',
    // Jitter is asked for once per failed attempt.
    options: { random: () => (failures += 1) && 0.99 },
    enter: async (store, network) => {
      failures = 0;
      network.refuse();
      ignore(store.ready());
      await until(() => failures >= 3);
    },
  },
  {
    name: 'cut off by a black hole',
    enter: async (store, network) => {
      await store.ready();
      await store.save('v1');
      network.pause();
      ignore(store.load());
    },
  },
  {
    name: 'before a server that hangs',
    enter: async (store, _network, server) => {
      await store.ready();
      await store.save('v1');
      await server.suspend();
      ignore(store.save('v2'));
    },
  },
  {
    name: 'waiting for the reply to a save',
    enter: async (store, network) => {
      await store.ready();
      await store.save('v1');
      network.pause('toClient');
      ignore(store.save('v2'));
    },
  },
  {
    name: 'waiting for a serialize that never ends',
    options: { serialize: () => neverEnding() },
    enter: async (store) => {
      await store.ready();
      await untilCalled(() => store.save('v1'));
    },
  },
  {
    name: 'waiting for a deserialize that never ends',
    options: { deserialize: () => neverEnding() },
    enter: async (store) => {
      await store.ready();
      // The store's own read is the first to wait.
      await untilCalled(() => store.save('v1'));
      await untilCalled(() => store.load());
    },
  },
  {
    name: 'refused by the server',
    user: 'nobody:wrong',
    enter: async (store) => {
      ignore(store.ready());
      await until(() => store.status.link === 'unauthorized');
    },
  },
];

/** Until what `ask` asks for has called the function that never ends. */
async function untilCalled(ask: () => Promise<unknown>): Promise<void> {
  const before = calls;
  ignore(ask());
  await until(() => calls > before);
}

/** Also for a process that has no test framework. */
async function until(check: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error('the state was not reached');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
