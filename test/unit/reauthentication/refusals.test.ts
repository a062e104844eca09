import { afterEach, describe, expect, it } from 'vitest';

import { MemoryCredentialStore } from 'credstream';

import { HOUR, type Token, watch, World } from './world.js';

let world: World;
afterEach(() => world.close());

async function open(inMs?: number) {
  world = new World();
  await world.put('old', inMs);
  return (await world.instance()).auth;
}

describe('rejected credentials', () => {
  it('are replaced once, however many instances report them, and their signal aborts', async () => {
    const auth = await open(HOUR);
    const others = await world.several(3);
    const instances = [auth, ...others.map((one) => one.auth)];
    const held = await Promise.all(instances.map((one) => one.snapshot()));
    for (let n = 0; n < 25; n += 1)
      for (const [which, one] of instances.entries()) expect(one.reject(held[which]!)).toBe(true);
    for (const { signal } of held) expect(signal.aborted).toBe(true);
    expect(held[0]!.signal.reason).toMatchObject({
      name: 'AbortError',
      change: { type: 'rejected', id: 'k', reason: undefined },
    });
    const asked = instances.map((one) => watch(one.credentials()));
    await world.clock.settle();
    expect(asked.every(({ settled }) => !settled)).toBe(true);
    expect(world.call(1).request).toMatchObject({ cause: 'rejected', previous: { token: 'old' } });
    await world.answer(1, 'new', HOUR);
    for (const one of asked) expect(one.value).toMatchObject({ token: 'new' });
    for (const [which, one] of instances.entries()) {
      expect(one.reject(held[which]!)).toBe(false);
      expect((await one.snapshot()).signal.aborted).toBe(false);
    }
    await world.clock.advance(120_000);
    expect(world.calls).toHaveLength(1);
  });

  it('are passed to refresh with the reason', async () => {
    const auth = await open();
    auth.reject(await auth.snapshot(), 'status 401');
    await world.clock.settle();
    expect(world.call(1).request).toMatchObject({ cause: 'rejected', reason: 'status 401' });
    await world.answer(1, 'new');
  });

  it('may be given as a snapshot that another store of this credential read', async () => {
    const auth = await open(HOUR);
    const read = await world.person.read();
    expect(auth.reject(read!)).toBe(true);
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
  });

  it('cause nothing when they are not the current ones any more', async () => {
    const auth = await open(HOUR);
    const old = await auth.snapshot();
    await world.put('newer', HOUR);
    expect(auth.reject(old)).toBe(false);
    expect(old.signal.aborted).toBe(false);
    await world.person.clear();
    expect(auth.reject(old)).toBe(false);
    await world.clock.settle();
    expect(world.calls).toEqual([]);
  });

  it('must be of this credential', async () => {
    const auth = await open(HOUR);
    const elsewhere = new MemoryCredentialStore<Token>({ key: 'other', memory: world.memory });
    await elsewhere.save({ token: 'other' });
    const good = await auth.snapshot();
    for (const foreign of [await elsewhere.read(), { ...good }, {}, null, 'old', undefined]) {
      expect(() => auth.reject(foreign as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option: 'snapshot' }),
      );
    }
    for (const reason of [5, 'x'.repeat(257), '\ud800'])
      expect(() => auth.reject(good, reason as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option: 'reason' }),
      );
    expect(good.signal.aborted).toBe(false);
    await elsewhere.close();
  });
});

describe('use()', () => {
  const refused = { status: 401 };
  const thrown = (error: object) => (): never => {
    throw Object.assign(new Error(), error);
  };

  it('calls the function once when all is well', async () => {
    const auth = await open(HOUR);
    const result = await auth.use(({ token }, { snapshot, signal }) => {
      expect([snapshot.credentials.token, signal.aborted]).toEqual([token, false]);
      return `used ${token}`;
    });
    expect(result).toBe('used old');
  });

  it.each<[string, () => unknown]>([
    ['returns status', () => refused],
    ['resolves to statusCode', () => Promise.resolve({ statusCode: 401 })],
    ['throws status', thrown(refused)],
    ['throws response.status', thrown({ response: refused })],
    ['throws response.statusCode', thrown({ response: { statusCode: 401 } })],
  ])('tries once more with new credentials when fn %s 401', async (_name, first) => {
    const auth = await open(HOUR);
    const tokens: string[] = [];
    const used = watch(
      auth.use(({ token }): unknown => {
        tokens.push(token);
        return tokens.length === 1 ? first() : 'fine';
      }),
    );
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(used.value).toBe('fine');
    expect(tokens).toEqual(['old', 'new']);
  });

  it.each<[string, object]>([
    [
      'leads back to itself',
      Object.assign(
        {},
        {
          get response(): unknown {
            return this;
          },
        },
      ),
    ],
    [
      'throws when looked at',
      {
        get status(): number {
          throw new Error('gone');
        },
      },
    ],
  ])('treats a result that %s as its own kind', async (_name, result) => {
    const auth = await open(HOUR);
    expect(await auth.use(() => result)).toBe(result);
    expect(world.calls).toEqual([]);
  });

  it('returns the second result, whatever it is', async () => {
    const auth = await open(HOUR);
    const used = watch(auth.use(() => refused));
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(used.value).toBe(refused);
    expect((await auth.snapshot()).signal.aborted).toBe(false);
    await world.clock.advance(60_000);
    expect(world.calls).toHaveLength(1);
  });

  it('rethrows errors that do not concern the credentials', async () => {
    const auth = await open(HOUR);
    const error = Object.assign(new Error('busy'), { status: 503 });
    await expect(auth.use(thrown(error))).rejects.toThrow(expect.objectContaining({ status: 503 }));
    expect(world.calls).toEqual([]);
  });

  it('calls the option `rejected` instead, and accepts only true as a yes', async () => {
    const auth = await open(HOUR);
    const never = await auth.use(() => refused, { rejected: () => 'yes' as never });
    expect(never).toBe(refused);
    expect(await auth.use(() => 'fine', { rejected: async () => true } as never)).toBe('fine');
    const used = watch(
      auth.use(({ token }) => token, { rejected: (outcome) => outcome === 'old' }),
    );
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(used.value).toBe('new');
  });

  it('passes a signal that aborts with the credentials, and with the signal of the caller', async () => {
    const auth = await open(HOUR);
    const own = new AbortController();
    const signals: AbortSignal[] = [];
    const run = (options = {}) =>
      auth.use((_credentials, { signal }) => {
        signals.push(signal);
      }, options);
    await Promise.all([run(), run({ signal: own.signal })]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    own.abort();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true]);
    await world.person.clear();
    await world.clock.settle();
    expect(signals[0]!.aborted).toBe(true);
  });

  it('returns the result, refused or not, once the reauthenticator is closed', async () => {
    const auth = await open(HOUR);
    const used = auth.use(async () => {
      await auth.close();
      return refused;
    });
    expect(await used).toBe(refused);
  });

  it.each([
    ['fn', undefined, {}],
    ['rejected', () => 5, { rejected: 'yes' }],
  ])('requires a function as %s', async (option, fn, options) => {
    const auth = await open(HOUR);
    await expect(auth.use(fn as never, options as never)).rejects.toMatchObject({ option });
  });
});
