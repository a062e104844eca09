import { onTestFinished } from 'vitest';

import {
  CredentialMemory,
  derive,
  type DeriveContext,
  type DeriveOptions,
  type Derived,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred, type Deferred } from '../../support/wait.js';

export const HOUR = 3_600_000;

export interface Token {
  readonly token: string;
}

export const bytesOf = (token: string): string => JSON.stringify({ token });

/** What was built, with a number of its own. */
export interface Client {
  readonly name: string;
  disposals: number;
}

/** One call of `create`, to be settled by the test. */
export interface Call extends Deferred<Client> {
  readonly token: string;
  readonly context: DeriveContext;
  /** Resolves with a client that is named after the call. */
  build(): Promise<Client>;
}

export interface Reported {
  readonly error: unknown;
  readonly where: string;
}

export interface DeriveWorld {
  readonly clock: VirtualClock;
  readonly memory: CredentialMemory;
  readonly store: MemoryCredentialStore<Token>;
  readonly derived: Derived<Client>;
  /** In order; without `manual` each is settled at once. */
  readonly calls: Call[];
  readonly clients: Client[];
  readonly reported: Reported[];
  readonly disposed: () => string[];
  readonly save: (token: string) => Promise<void>;
}

export interface DeriveWorldOptions {
  readonly store?: Partial<MemoryCredentialStoreOptions<Token>>;
  readonly derive?: DeriveOptions<Client>;
  /** The chance of the memory, for the jitter of pauses. */
  readonly random?: () => number;
  /** Whether the test settles the calls of `create`. */
  readonly manual?: boolean;
}

/** A store in virtual time and what is derived from it; nothing may be left when the test has closed both. */
export function deriveWorld(options: DeriveWorldOptions = {}): DeriveWorld {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock, random: options.random ?? (() => 0) });
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory, ...options.store });
  const calls: Call[] = [];
  const clients: Client[] = [];
  const reported: Reported[] = [];
  const order: string[] = [];
  const make = (name: string): Client => {
    const client = { name, disposals: 0 };
    clients.push(client);
    return client;
  };
  const derived = derive<Token, Client>(
    store,
    ({ token }, context) => {
      const call: Call = {
        token,
        context,
        ...deferred<Client>(),
        build: async () => {
          const client = make(token);
          call.resolve(client);
          await clock.settle();
          return client;
        },
      };
      calls.push(call);
      return options.manual === true ? call.promise : make(token);
    },
    {
      dispose: (client) => {
        client.disposals += 1;
        order.push(client.name);
      },
      onCallbackError: (error, where) => reported.push({ error, where }),
      ...options.derive,
    },
  );
  onTestFinished(async () => {
    await Promise.all([derived.close(), clock.advance(HOUR)]);
    await store.close();
  });
  return {
    clock,
    memory,
    store,
    derived,
    calls,
    clients,
    reported,
    disposed: () => order,
    save: async (token) => {
      memory.set('k', bytesOf(token));
      await clock.settle();
    },
  };
}

/** How a promise is settled, without waiting for it. */
export function outcomeOf(promise: Promise<unknown>): { value?: unknown; error?: unknown } {
  const outcome: { value?: unknown; error?: unknown } = {};
  promise.then(
    (value) => (outcome.value = value),
    (error: unknown) => (outcome.error = error),
  );
  return outcome;
}
