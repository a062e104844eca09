import type { Redis } from 'ioredis';

import { both } from '../../support/both.js';
import { connect } from '../../support/redis-clients.js';
import { now } from './instants.js';
import { credstream } from './library.js';
import { serve } from './serve.js';

/** What the provider gives out: a number that counts on. */
interface Token {
  readonly number: number;
  readonly expiresAt: number;
}

export interface AuthenticatorPlace {
  readonly url: string;
  readonly key: string;
  readonly lifetimeMs: number;
  readonly leaseMs: number;
  /** What the first call of the provider does: answers, or kills its process. */
  readonly first: 'answer' | 'die';
}

type Store = InstanceType<typeof credstream.RedisCredentialStore<Token>>;
type Authenticator = InstanceType<typeof credstream.Reauthenticator<Token>>;

const FLOOR_CHANNEL = 'bench:floor';
const PROVIDER = 'bench:provider';
const DIED_AT = 'bench:died-at';

let store: Store | undefined;
let auth: Authenticator | undefined;
let plain: Redis | undefined;
let listener: Redis | undefined;
let answeredAt = 0;
let calledAt = 0;
let saves = 0;
let embedded: Authenticator | undefined;

async function provide({ lifetimeMs, first }: AuthenticatorPlace): Promise<Token> {
  calledAt = now();
  if (first === 'die') {
    await plain!.set(DIED_AT, String(now()));
    process.kill(process.pid, 'SIGKILL');
  }
  const number = await plain!.incr(PROVIDER);
  answeredAt = now();
  return { number, expiresAt: Date.now() + lifetimeMs };
}

const calls = {
  async open(place: AuthenticatorPlace): Promise<void> {
    plain = connect(place.url);
    listener = connect(place.url);
    store = new credstream.RedisCredentialStore<Token>(connect(place.url), {
      key: place.key,
      expiresAt: (token) => token.expiresAt,
      replyTimeoutMs: 500,
    });
    store.changes$.subscribe((change) => {
      if (change.type === 'saved') saves += 1;
    });
    auth = new credstream.Reauthenticator<Token>(store, {
      ...both(() => provide(place)),
      leaseMs: place.leaseMs,
      minIntervalMs: 10,
      leadFraction: 0.3,
    });
    await store.ready();
    await listener.subscribe(FLOOR_CHANNEL);
  },
  /** Asks for valid credentials; the number, and when they came. */
  async ask(): Promise<{ number: number; at: number }> {
    const { number } = await auth!.credentials();
    return { number, at: now() };
  },
  /** Has the credentials replaced, and waits for the new ones; `answeredAt` only where the provider was called. */
  async replace(): Promise<{ calledHere: boolean; answeredAt: number; at: number }> {
    const calledBefore = auth!.counts.calls;
    auth!.reject(await auth!.snapshot());
    await auth!.snapshot();
    const at = now();
    return { calledHere: auth!.counts.calls > calledBefore, answeredAt, at };
  },
  async publish(): Promise<number> {
    const at = now();
    await plain!.publish(FLOOR_CHANNEL, 'x');
    return at;
  },
  hear: (): Promise<number> =>
    new Promise((resolve) => {
      listener!.once('message', () => resolve(now()));
    }),
  /** How often the provider was called by anybody, and how many new credentials this process has seen. */
  counted: async (): Promise<{ calls: number; saves: number }> => ({
    calls: Number(await plain!.get(PROVIDER)),
    saves,
  }),
  /** From the death of the first holder to the call of its successor. */
  takeover: async (): Promise<number> => calledAt - Number(await plain!.get(DIED_AT)),
  /** Nanoseconds of processor time for each `await` of valid credentials, or of a promise that is settled already. */
  async hot({ how, reads }: { how: 'credentials' | 'promise'; reads: number }): Promise<number> {
    if (embedded === undefined) {
      const memory = new credstream.MemoryCredentialStore<Token>({
        key: 'hot',
        expiresAt: (token) => token.expiresAt,
      });
      embedded = new credstream.Reauthenticator<Token>(memory, {
        ...both(() => ({ number: 1, expiresAt: Date.now() + 3_600_000 })),
      });
      await embedded.credentials();
    }
    const settled = Promise.resolve({ number: 1 });
    const run = async (): Promise<number> => {
      let there = 0;
      if (how === 'credentials') {
        for (let nth = 0; nth < reads; nth += 1) there += (await embedded!.credentials()).number;
      } else for (let nth = 0; nth < reads; nth += 1) there += (await settled).number;
      return there;
    };
    await run();
    const before = process.cpuUsage();
    const there = await run();
    const { user, system } = process.cpuUsage(before);
    if (there !== reads) throw new Error(`${reads - there} of ${reads} found nothing`);
    return ((user + system) * 1_000) / reads;
  },
};
export type AuthenticatorCalls = typeof calls;

serve(calls);
