import { createHash } from 'node:crypto';
import { tracingChannel } from 'node:diagnostics_channel';

import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import {
  isCredstreamError,
  jsonCodec,
  RedisCredentialStore,
  type RedisCredentialStoreOptions,
} from 'credstream';

import { disconnect } from '../support/redis-clients.js';
import { uniqueKey } from '../support/redis.js';
import { createTcpProxy } from '../support/tcp-proxy.js';
import { collect, eventually } from '../support/wait.js';
import { type Canary, makeCanary } from './canary.js';
import { makeUser } from './users.js';
import { bytesOf, ofType, type Token, useWorld } from './world.js';

const world = useWorld();

/** What the call rejects with; it has to. */
async function errorOf(call: () => Promise<unknown>): Promise<unknown> {
  return call().then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error,
  );
}

function expectSecretive(canary: Canary, error: unknown): void {
  expect(isCredstreamError(error)).toBe(true);
  expect(canary.find(error)).toEqual([]);
}

/** Refuses everything, and says what it has refused. */
const tattling = z.object({
  token: z
    .string()
    .refine(() => false, { error: ({ input }) => `${String(input)} is not allowed` }),
});

it('the search finds a canary anywhere', () => {
  const canary = makeCanary();
  const cause = new Error(canary.text);
  const hidden = Object.defineProperty({}, 'a', { value: { b: [canary.text] } });
  canary.alsoDigestsOf('bytes');
  const sha1 = createHash('sha1').update('bytes');
  expect(canary.find({ deep: [{ er: canary.text }] })).not.toEqual([]);
  expect(canary.find(new Error('outside', { cause }))).not.toEqual([]);
  expect(canary.find(hidden)).not.toEqual([]);
  expect(canary.find([{ result: Buffer.from(`${'x'.repeat(60)}${canary.text}`) }])).not.toEqual([]);
  expect(canary.find({ [sha1.digest('hex')]: 1 })).not.toEqual([]);
  expect(canary.find({ message: 'nothing' })).toEqual([]);
});

describe('errors of save show no part of the credential', () => {
  const token = (canary: Canary): Token => ({ token: canary.text });
  type Options = Partial<RedisCredentialStoreOptions<Token>>;

  it.each<[string, (canary: Canary) => Options]>([
    [
      'serialize throws it',
      ({ text }) => ({ serialize: () => fail(text), deserialize: JSON.parse as never }),
    ],
    [
      'serialize rejects with it',
      ({ text }) => ({
        serialize: () => Promise.reject(new Error(text)),
        deserialize: JSON.parse as never,
      }),
    ],
    [
      'serialize returns an object',
      ({ text }) => ({ serialize: () => ({ text }) as never, deserialize: JSON.parse as never }),
    ],
    [
      'serialize returns a lone surrogate',
      ({ text }) => ({ serialize: () => `${text}\ud800`, deserialize: JSON.parse as never }),
    ],
    ['it is too large', () => ({ maxBytes: 10 })],
    ['a schema refuses it', () => jsonCodec(tattling)],
    [
      'a schema throws it',
      ({ text }) => jsonCodec(z.object({ token: z.string().transform(() => fail(text)) }) as never),
    ],
    ['expiresAt throws it', ({ text }) => ({ expiresAt: () => fail(text) })],
    ['expiresAt returns it', ({ text }) => ({ expiresAt: () => text as never })],
    ['ttlSeconds throws it', ({ text }) => ({ ttlSeconds: () => fail(text) })],
    ['ttlSeconds returns it', ({ text }) => ({ ttlSeconds: () => text as never })],
  ])('when %s', async (_name, options) => {
    const canary = makeCanary();
    const store = world.store<Token>(world.connect(), {
      ...options(canary),
      onCallbackError: () => {},
    });
    expectSecretive(canary, await errorOf(() => store.save(token(canary))));
    expectSecretive(canary, await errorOf(() => store.update(() => token(canary))));
    expect(await world.connect().exists(store.id)).toBe(0);
  });

  it('when other bytes are stored', async () => {
    const canary = makeCanary();
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    await store.save(token(canary));
    canary.alsoDigestsOf(bytesOf(canary.text));
    const overtaken = async (): Promise<Token> => {
      await store.save({ token: String(Math.random()) });
      return token(canary);
    };
    const calls = [
      () => store.save(token(canary), { onlyIf: seen }),
      () => store.save(token(canary), { onlyIf: 'absent' }),
      () => store.clear({ onlyIf: seen }),
      () => store.update(overtaken, { maxAttempts: 2 }),
    ];
    for (const call of calls) expectSecretive(canary, await errorOf(call));
  });

  it('when arguments are swapped', async () => {
    const canary = makeCanary();
    const redis = world.connect();
    const store = world.store(redis);
    const odd = { token: canary.text } as never;
    const text = canary.text as never;
    const calls = [
      () => store.save({ token: 'a' }, odd),
      () => store.save({ token: 'a' }, text),
      () => store.save({ token: 'a' }, { ttlSeconds: text }),
      () => store.save({ token: 'a' }, { onlyIf: odd }),
      () => store.save({ token: 'a' }, { onlyIf: text }),
      () => store.save({ token: 'a' }, { signal: odd }),
      () => store.save({ token: 'a' }, { reason: canary.text.repeat(100) }),
      () => store.clear(odd),
      () => store.clear({ onlyIf: odd }),
      () => store.update(odd),
      async () => new RedisCredentialStore(odd, { key: 'a' }),
      async () => new RedisCredentialStore(redis, { key: odd }),
      async () => new RedisCredentialStore(redis, { key: 'a', ttlSeconds: text }),
      async () => new RedisCredentialStore(redis, { key: 'a', serialize: odd }),
      async () => new RedisCredentialStore(redis, text),
    ];
    for (const call of calls) expectSecretive(canary, await errorOf(call));
  });

  it('when Redis refuses it', async () => {
    const canary = makeCanary();
    const user = await makeUser(world, '+@all -set ~* &*');
    const refused = world.store(user.connect());
    expectSecretive(canary, await errorOf(() => refused.save(token(canary))));
    expectSecretive(canary, await errorOf(() => refused.save(token(canary), { onlyIf: 'absent' })));

    const redis = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const seen = await store.read();
    await redis.config('SET', 'maxmemory', '1');
    world.track(redis, () => redis.config('SET', 'maxmemory', '0'));
    for (const options of [{}, { onlyIf: 'absent' }, { onlyIf: seen! }] as const) {
      const error = await errorOf(() => store.save(token(canary), options));
      expectSecretive(canary, error);
      expect(error).toMatchObject({ code: 'REFUSED', reply: 'OOM' });
    }
  });

  it('when the link is lost, before and after the write', async () => {
    const canary = makeCanary();
    canary.alsoDigestsOf(bytesOf(canary.text));
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const client = world.connect({ lazyConnect: true }, link.url);
    const store = world.store(client, { replyTimeoutMs: 300 });
    await store.save({ token: 'a' });
    const seen = await store.read();
    for (const options of [{}, { onlyIf: 'absent' }, { onlyIf: seen! }] as const) {
      link.pause('toClient');
      const error = await errorOf(() => store.save(token(canary), options));
      expectSecretive(canary, error);
      expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      await link.heal();
      await store.load();
    }
    link.refuse({ reset: true });
    const error = await errorOf(() => store.save(token(canary)));
    expectSecretive(canary, error);
    expect(error).toMatchObject({
      code: expect.stringMatching(/^(UNAVAILABLE|OUTCOME_UNKNOWN)$/) as string,
    });
    await store.close();
    expectSecretive(canary, await errorOf(() => store.save(token(canary))));
  });
});

describe('the report of undecodable bytes shows no part of them', () => {
  it.each<[string, (text: string) => string, Partial<RedisCredentialStoreOptions<Token>>]>([
    ['malformed JSON', (text) => `{"token": ${text}`, {}],
    ['JSON with something behind it', (text) => `{}${text}`, {}],
    ['JSON under __proto__', (text) => `{"__proto__":"${text}"}`, {}],
    ['what a schema refuses', (text) => bytesOf(text), jsonCodec(tattling)],
    [
      'what a schema refuses by name',
      (text) => `{"${text}":1}`,
      jsonCodec(z.strictObject({ token: z.string() })),
    ],
    [
      'what deserialize throws with',
      (text) => text,
      { serialize: String, deserialize: (bytes) => fail(bytes.toString()) },
    ],
    [
      'what deserialize rejects with',
      (text) => text,
      { serialize: String, deserialize: async (bytes) => fail(bytes.toString()) },
    ],
    [
      'what expiresAt throws with',
      (text) => bytesOf(text),
      { expiresAt: ({ token }) => fail(token) },
    ],
    [
      'what expiresAt makes no date of',
      (text) => bytesOf(text),
      { expiresAt: ({ token }) => token as never },
    ],
  ])('%s', async (_name, stored, options) => {
    const canary = makeCanary();
    const bytes = stored(canary.text);
    canary.alsoDigestsOf(bytes);
    const redis = world.connect();
    const { store, key, changes } = await world.watch<Token>(world.connect(), {
      ...options,
      onCallbackError: () => {},
    });
    const states = collect(store.state$);
    await redis.set(key, bytes);
    const change = await changes.next(ofType('unreadable'));
    expect(canary.find(change.error)).toEqual([]);
    expect(canary.find(changes.values)).toEqual([]);
    expect(canary.find(states.values)).toEqual([]);
    expect(canary.find(store)).toEqual([]);
    expectSecretive(canary, await errorOf(() => store.update(() => ({ token: 'x' }))));
    expect(await store.load()).toBeUndefined();
  });
});

describe('inspection hides the credential in', () => {
  it('changes, states, snapshots, statuses and the store itself', async () => {
    const canary = makeCanary();
    canary.alsoDigestsOf(bytesOf(canary.text));
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect());
    const states = collect(store.state$);
    const statuses = collect(store.status$);
    const ending = collect(store.expiring$(60_000));
    const events: unknown[] = [];
    store.on('change', (change) => void events.push(change));
    const iterator = store[Symbol.asyncIterator]();
    const iterated = iterator.next();

    await store.save({ token: canary.text });
    await redis.expire(key, 30);
    await changes.next(ofType('renewed'));
    await ending.next();
    const snapshot = store.current!;
    const { signal } = snapshot;
    await store.save({ token: `${canary.text} again` });
    await store.clear();
    await changes.next(ofType('cleared'));
    expect(changes.values.map(({ type }) => type)).toEqual([
      'saved',
      'renewed',
      'saved',
      'cleared',
    ]);
    expect(signal.aborted).toBe(true);
    // It is there for those who ask for it by name.
    expect(snapshot.credentials.token).toBe(canary.text);

    const all: Record<string, unknown> = {
      changes: changes.values,
      states: states.values,
      statuses: statuses.values,
      ending: ending.values,
      events,
      iterated: await iterated,
      snapshot,
      reason: signal.reason as unknown,
      store,
      receipt: await store.save({ token: canary.text }, { onlyIf: 'absent' }),
    };
    for (const [name, value] of Object.entries(all)) {
      expect([name, canary.find(value)]).toEqual([name, []]);
    }
    expect(ending.values).not.toEqual([]);
    expect(events).toHaveLength(5);
  });

  it('inspection hides the password of Redis in the errors of a lost link', async () => {
    const canary = makeCanary();
    const user = await makeUser(world, '+@all ~* &*');
    const clients = [
      user.connect({ password: canary.text }),
      user.connect({ password: canary.text, protocol: 2 }),
      world.connect({ lazyConnect: true }, `redis://someone:${canary.text}@127.0.0.1:1`),
    ];
    for (const client of clients) {
      const store = world.store(client, { readyTimeoutMs: 100 });
      const statuses = collect(store.status$);
      const errors = [
        await errorOf(() => store.ready()),
        await errorOf(() => store.load()),
        await errorOf(() => store.save({ token: 'a' })),
      ];
      for (const error of errors) expectSecretive(canary, error);
      expect(canary.find(statuses.values)).toEqual([]);
      await eventually(() => expect(store.status.error).toBeInstanceOf(Error));
      expect(canary.find(store)).toEqual([]);
    }
  });
});

interface Login {
  readonly username: string;
  readonly password: string;
  readonly lazyConnect: boolean;
}

describe.each([
  { name: 'ioredis 6', make: (url: string, options: Login) => new Redis(url, options) },
  {
    name: 'ioredis 5',
    make: (url: string, options: Login) => new Redis5(url, options) as unknown as Redis,
  },
])('the tracing channels of $name', ({ make }) => {
  it('show commands, and neither the credential nor the password in any of them', async () => {
    const canary = makeCanary();
    canary.alsoDigestsOf(bytesOf(canary.text));
    const user = await makeUser(world, '+@all ~* &*');
    await user.setRights(`>${canary.text}`);
    const traced: { event: string; context: object }[] = [];
    for (const name of ['command', 'batch', 'connect']) {
      const channel = tracingChannel(`ioredis:${name}`);
      const listener = (event: string) => (context: unknown) =>
        void traced.push({ event: `${name} ${event}`, context: context as object });
      const listeners = {
        start: listener('start'),
        end: listener('end'),
        asyncStart: listener('asyncStart'),
        asyncEnd: listener('asyncEnd'),
        error: listener('error'),
      };
      channel.subscribe(listeners);
      world.track(channel, () => channel.unsubscribe(listeners));
    }

    const login = { username: user.name, password: canary.text, lazyConnect: true };
    const client = world.track(make(world.server.url, login), disconnect);
    const { store } = await world.watch(client, { key: uniqueKey('traced') });
    await store.save({ token: canary.text }, { ttlSeconds: 60 });
    await store.save({ token: canary.text }, { onlyIf: await store.read() });
    await store.update((current) => ({ token: `${current!.token} updated` }));
    await store.load();
    await user.setRights('-set');
    await errorOf(() => store.save({ token: canary.text }));
    await user.setRights('+set', '-publish', '-evalsha', '-evalsha_ro', '-eval_ro');
    await errorOf(() => store.save({ token: canary.text }, { onlyIf: store.current! }));
    await store.load();
    await store.save({ token: canary.text });
    await store.clear();
    await store.close();
    const stranger = make(world.server.url, { ...login, password: `${canary.text}?` });
    await errorOf(() => world.store(world.track(stranger, disconnect)).load());

    const names = new Set(
      traced.map(({ context }) => ('command' in context ? String(context.command) : '')),
    );
    await eventually(() => expect([...names].map((name) => name.toLowerCase())).toContain('set'));
    expect(traced.map(({ event }) => event)).toContain('command error');
    const leaks = traced.filter(({ context }) => canary.find(context).length > 0);
    expect(leaks.map(({ event, context }) => [event, canary.find(context)[0]])).toEqual([]);
  });
});

function fail(text: string): never {
  throw new Error(text);
}
