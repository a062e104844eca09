import { describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  derive,
  deriveEach,
  invalidate,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
  Reauthenticator,
  ReauthenticatorPool,
  RedisCredentialDirectory,
  RedisCredentialStore,
  type CredentialDirectory,
  type CredentialStoreOptions,
  type ObservableCredentialStore,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { both } from '../support/both.js';
import { useCleanup } from '../support/cleanup.js';
import { uniquePrefix } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { as, tenant } from './tenants.js';
import { useWorld } from './world.js';

interface Token {
  readonly token: string;
  readonly expiresAt: number;
}

type Options = Partial<CredentialStoreOptions<Token>>;

/** The place where the credential of a test is kept, and the events that befall it, each in a request of its own. */
interface Place {
  readonly prefix: string;
  readonly store: (options: Options) => ObservableCredentialStore<Token>;
  readonly directory: () => CredentialDirectory<Token>;
  /** The bytes are written by another client. */
  readonly write: (token: Token) => unknown;
  /** The key is removed by another client. */
  readonly remove: () => unknown;
  /** The link is lost, and comes back. */
  readonly reconnect: () => unknown;
  /** Time passes until all calls that are due have been made. */
  readonly pass: (ms: number) => Promise<void>;
  readonly now: () => number;
}

const ID = 'acme';
const BRIEF_MS = 600;
const expiresAt = (token: Token): number => token.expiresAt;

function memoryPlace(): Place {
  const clock = new VirtualClock();
  const memory = as('the memory', () => new CredentialMemory({ clock }));
  const prefix = 'tenant:';
  const key = prefix + ID;
  return {
    prefix,
    store: (options) => new MemoryCredentialStore<Token>({ key, memory, expiresAt, ...options }),
    directory: () => new MemoryCredentialDirectory<Token>({ prefix, memory, expiresAt }),
    write: (token) => {
      memory.set(key, JSON.stringify(token));
    },
    remove: () => memory.delete(key),
    reconnect: () => {
      memory.disconnect();
      memory.reconnect();
    },
    pass: (ms) => clock.advance(ms),
    now: () => clock.now(),
  };
}

const world = useWorld();
const { track } = useCleanup();

function redisPlace(): Place {
  const redis = world.connect();
  const other = world.connect();
  const prefix = uniquePrefix();
  const key = prefix + ID;
  return {
    prefix,
    store: (options) => new RedisCredentialStore<Token>(redis, { key, expiresAt, ...options }),
    directory: () => new RedisCredentialDirectory<Token>(redis, { prefix, expiresAt }),
    write: (token) => other.set(key, JSON.stringify(token)),
    remove: () => other.del(key),
    reconnect: () => other.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
    pass: () => Promise.resolve(),
    now: () => Date.now(),
  };
}

type Cause = 'a request' | 'another client' | 'a timer' | 'a reconnect';

interface Case {
  readonly what: string;
  readonly by: readonly Cause[];
  /** The options of the store. */
  readonly options?: (note: () => void) => Options;
  /** Runs in the request of A. */
  readonly make?: (
    built: { store: ObservableCredentialStore<Token>; place: Place },
    note: () => void,
  ) => unknown;
  /** A call in the request of B; by default B saves. */
  readonly call?: (made: unknown) => unknown;
}

const isDirectory = (made: unknown): made is CredentialDirectory<Token> =>
  made instanceof RedisCredentialDirectory || made instanceof MemoryCredentialDirectory;
const all: readonly Cause[] = ['a request', 'another client', 'a timer', 'a reconnect'];
const json = (text: { toString(encoding: 'utf8'): string }): Token =>
  JSON.parse(text.toString('utf8')) as Token;
/** The end is not awaited: it would wait for the virtual clock, which stands still by then. */
const ends = <C extends { close(): unknown }>(one: C): C => track(one, () => void one.close());
const eachAttempt = { leadMs: 0, drainMs: 0 };
const never = new Promise<never>(() => undefined);

const cases: readonly Case[] = [
  {
    what: 'serialize',
    by: ['a request'],
    options: (note) => ({
      serialize: (token) => (note(), JSON.stringify(token)),
      deserialize: json,
    }),
  },
  {
    what: 'deserialize',
    by: ['a request', 'another client', 'a reconnect'],
    options: (note) => ({
      serialize: (token) => JSON.stringify(token),
      deserialize: (bytes) => (note(), json(bytes)),
    }),
  },
  {
    what: 'expiresAt',
    by: ['a request', 'another client', 'a reconnect'],
    options: (note) => ({ expiresAt: (token) => (note(), token.expiresAt) }),
  },
  {
    what: 'ttlSeconds',
    by: ['a request'],
    options: (note) => ({ ttlSeconds: () => (note(), undefined) }),
  },
  {
    what: 'onCallbackError',
    by: all,
    options: (note) => ({ onCallbackError: note }),
    make: ({ store }) =>
      store.on('change', () => {
        throw new Error('a listener fails');
      }),
  },
  { what: 'a listener of changes', by: all, make: ({ store }, note) => store.on('change', note) },
  { what: 'a listener, once', by: all, make: ({ store }, note) => store.once('state', note) },
  {
    what: 'a listener of the status',
    by: ['a reconnect'],
    make: ({ store }, note) => store.on('status', note),
  },
  { what: 'changes$', by: all, make: ({ store }, note) => store.changes$.subscribe(note) },
  { what: 'state$', by: all, make: ({ store }, note) => store.state$.subscribe(note) },
  { what: 'credentials$', by: all, make: ({ store }, note) => store.credentials$.subscribe(note) },
  {
    what: 'status$',
    by: ['a reconnect'],
    make: ({ store }, note) => store.status$.subscribe(note),
  },
  {
    what: 'expiring$',
    by: ['a timer'],
    make: ({ store }, note) => store.expiring$(BRIEF_MS / 2).subscribe(note),
  },
  {
    what: 'a loop over changes',
    by: all,
    make: ({ store }, note) => {
      void (async () => {
        for await (const _ of store) note();
      })();
    },
  },
  {
    what: 'changes$ of a directory',
    by: all,
    make: ({ place }, note) => {
      const directory = ends(place.directory());
      directory.changes$.subscribe(note);
      return directory;
    },
  },
  {
    what: 'a listener of a directory',
    by: all,
    make: ({ place }, note) => ends(place.directory()).on('change', note),
  },
  {
    what: 'login',
    by: ['a request', 'a timer'],
    make: ({ store }, note) =>
      ends(new Reauthenticator(store, { ...eachAttempt, ...both(() => (note(), never)) })),
    call: (made) => {
      const auth = made as Reauthenticator<Token>;
      void auth.credentials({ minValidityMs: 3_600_000 }).catch(() => undefined);
    },
  },
  {
    what: 'isFatal and onFailure',
    by: ['a request', 'a timer'],
    make: ({ store }, note) =>
      ends(
        new Reauthenticator(store, {
          ...eachAttempt,
          ...both(() => Promise.reject(new Error('down'))),
          isFatal: () => (note(), false),
          onFailure: note,
        }),
      ),
    call: (made) => {
      const auth = made as Reauthenticator<Token>;
      void auth.credentials({ minValidityMs: 3_600_000 }).catch(() => undefined);
    },
  },
  {
    what: 'state$ of a reauthenticator',
    by: ['a request', 'a timer'],
    make: ({ store }, note) => {
      const auth = ends(new Reauthenticator(store, { ...eachAttempt, ...both(() => never) }));
      auth.state$.subscribe(note);
      return auth;
    },
    call: (made) => {
      const auth = made as Reauthenticator<Token>;
      void auth.credentials({ minValidityMs: 3_600_000 }).catch(() => undefined);
    },
  },
  {
    what: 'login of a pool',
    by: ['a request'],
    make: ({ place }, note) =>
      ends(
        new ReauthenticatorPool(place.directory(), {
          ...eachAttempt,
          ...both(() => (note(), never)),
        }),
      ),
    call: (made) => {
      const pool = made as ReauthenticatorPool<Token>;
      void pool.credentials(ID, { minValidityMs: 3_600_000 }).catch(() => undefined);
    },
  },
  {
    what: 'create',
    by: ['a request', 'another client', 'a reconnect'],
    make: ({ store }, note) => ends(derive(store, () => (note(), 1), { eager: true })),
  },
  {
    what: 'create on first use',
    by: ['a request'],
    make: ({ store }, note) => ends(derive(store, () => (note(), 1))),
    call: (made) => (made as { get(): Promise<number> }).get(),
  },
  {
    what: 'dispose',
    by: all,
    make: ({ store }, note) =>
      ends(derive(store, () => 1, { eager: true, graceMs: 0, dispose: note })),
  },
  {
    what: 'value$ and its state$',
    by: all,
    make: ({ store }, note) => {
      const derived = ends(derive(store, ({ token }) => token));
      derived.value$.subscribe(note);
      derived.state$.subscribe(note);
    },
  },
  {
    what: 'create of deriveEach',
    by: ['a request'],
    make: ({ place }, note) => ends(deriveEach(place.directory(), () => (note(), 1))),
    call: (made) => (made as { get(id: string): Promise<number> }).get(ID),
  },
  {
    what: 'keys and the cache of invalidate',
    by: all,
    make: ({ store }, note) =>
      ends(invalidate({ delete: note }, store, { keys: () => (note(), ['an entry']) })),
  },
];

const places = [
  { where: 'in memory', open: memoryPlace },
  { where: 'in Redis', open: redisPlace },
];

describe.each(places)('a function of A, $where', ({ open }) => {
  describe.each(cases)('$what', ({ by, options, make, call }) => {
    it.each(by)('runs in the context of A, whoever is behind %s', async (cause) => {
      const place = open();
      const seen: (string | undefined)[] = [];
      const note = (): void => void seen.push(tenant());
      let count = 0;
      const token = (lifetimeMs = 600_000): Token => ({
        token: `token ${String((count += 1))}`,
        expiresAt: Math.round(place.now()) + lifetimeMs,
      });
      const own = options?.(note) ?? {};
      // The store of C has the same options, and is the first: it opens the connections and starts the timers.
      const first = as('C', () => ends(place.store(own)));
      const store = as('A', () => ends(place.store(own)));
      const settle = (): Promise<void> => as('the clock', () => place.pass(10));
      const settled = async (work: unknown): Promise<void> => {
        let done = false;
        const end = Promise.resolve(work).then(() => (done = true));
        await eventually(async () => {
          await settle();
          return done;
        });
        await end;
      };
      await settled(as('C', () => first.ready()));
      await settled(as('C', () => first.save(token(cause === 'a timer' ? BRIEF_MS : undefined))));
      await settled(as('C', () => store.ready()));
      const made = as('A', () => make?.({ store, place }, note));
      // A use of everything, in the context of A itself.
      await settle();
      await eventually(() => store.status.link === 'live' && store.current !== undefined);
      await eventually(() => !isDirectory(made) || made.status.link === 'live');
      first.on('status', () => undefined);
      if (cause !== 'a timer') seen.length = 0;
      const other = seen.filter((one) => one !== 'A');
      expect(other.filter((one) => one !== 'C')).toEqual([]);
      seen.length = 0;

      if (cause === 'a request') {
        const work = as('B', () => (call === undefined ? store.save(token()) : call(made)));
        if (work instanceof Promise) await settled(work);
      } else if (cause === 'another client') await as('F', () => place.write(token()));
      else if (cause === 'a reconnect') {
        await as('R', () => place.reconnect());
        await as('F', () => place.write(token()));
      } else await as('the clock', () => place.pass(BRIEF_MS));

      await eventually(async () => {
        await settle();
        return seen.includes('A');
      });
      // The same function is an option of the store of C, where it runs in the context of C.
      const others = options === undefined ? [] : ['C'];
      expect([...new Set(seen)].filter((one) => !others.includes(one!))).toEqual(['A']);
    });
  });

  it.each([
    ['the signal of a snapshot', false],
    ['a signal made from it', true],
  ])('a listener of %s runs in the context of nobody', async (_, combined) => {
    const place = open();
    const store = as('A', () => ends(place.store({})));
    const auth = as('A', () =>
      ends(new Reauthenticator(store, { ...eachAttempt, ...both(() => never) })),
    );
    const ready = as('A', () =>
      store.save({ token: 'one', expiresAt: Math.round(place.now()) + 600_000 }),
    ).then(() => store.ready());
    await eventually(async () => {
      await place.pass(10);
      return store.current !== undefined;
    });
    await ready;
    const { current } = store;
    const seen: unknown[] = [];
    as('A', () => {
      const signal = combined ? AbortSignal.any([current!.signal]) : current!.signal;
      signal.addEventListener('abort', () => seen.push(tenant()));
    });
    as('B', () => auth.reject(current!));
    expect(seen).toEqual([undefined]);
  });
});
