import { afterEach, describe, expect, it } from 'vitest';

import {
  InvalidOptionError,
  type MemoryCredentialStore,
  Reauthenticator,
  type ReauthenticatorOptions,
  RedisCredentialStore,
} from 'credstream';

import { useRedis } from '../../support/redis.js';
import { type Token, World } from './world.js';

const { connect, track } = useRedis();
let world = new World();
afterEach(async () => {
  await world.close();
  world = new World();
});

const refresh = (): Token => ({ token: 'new' });

function make(options: object, store: unknown = world.person): Reauthenticator<Token> {
  return new Reauthenticator<Token>(store as MemoryCredentialStore<Token>, options as never);
}

function optionAt(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError);
    return (error as InvalidOptionError).option;
  }
  return undefined;
}

const durations: readonly [keyof ReauthenticatorOptions<Token>, min: number, max: number][] = [
  ['leadMs', 0, 2 ** 31 - 1],
  ['leaseMs', 100, 1_800_000],
  ['attemptTimeoutMs', 10, 1_800_000],
  ['minIntervalMs', 10, 1_800_000],
  ['backOffMs', 10, 1_800_000],
  ['timeoutMs', 1, Infinity],
  ['drainMs', 0, 2 ** 31 - 1],
];

describe('a reauthenticator', () => {
  it.each(durations)('accepts %s from %d to %d and nothing else', async (name, min, max) => {
    const bad = [min - 1, NaN, -1, '5', null, new Date(), {}, 10n];
    if (max !== Infinity) bad.push(max + 1, Infinity);
    for (const value of bad) expect(optionAt(() => make({ refresh, [name]: value }))).toBe(name);
    for (const value of [min, max, undefined]) await make({ refresh, [name]: value }).close();
  });

  it.each<[string, unknown]>([
    ['jitter', -0.1],
    ['jitter', 1.1],
    ['jitter', NaN],
    ['jitter', '0'],
    ['leadFraction', -0.1],
    ['leadFraction', 0.51],
    ['leadFraction', null],
    ['maxBackOffMs', 999],
    ['maxBackOffMs', 1_800_001],
    ['whenCleared', 'never'],
    ['whenCleared', null],
    ['whenCleared', 'authenticate'],
    ['whenCleared', 'login'],
    ['refresh', undefined],
    ['refresh', 'yes'],
    ['login', 'yes'],
    ['login', null],
    ['authenticate', refresh],
    ['isFatal', 5],
    ['onDiscarded', {}],
    ['onFailure', 'log'],
    ['lead', 5],
  ])('refuses %s of %s', (name, value) => {
    expect(optionAt(() => make({ refresh, [name]: value }))).toBe(name);
  });

  it('refuses two lead options, and no options, and leaves nothing behind', () => {
    expect(optionAt(() => make({ refresh, leadMs: 5, leadFraction: 0.1 }))).toBe('leadFraction');
    for (const options of [undefined, null, 'x']) {
      expect(optionAt(() => make(options as never))).toBe('options');
    }
    expect(world.person.status.link).toBe('idle');
  });

  it.each([undefined, null, 'store', {}, { load: refresh }, () => undefined])(
    'refuses %s for a store',
    (store) => {
      expect(optionAt(() => new Reauthenticator(store as never, { refresh }))).toBe('store');
    },
  );

  it('refuses a lease that is too short to be renewed over Redis', async () => {
    const options = { key: 'token', replyTimeoutMs: 2_000 };
    const store = track(new RedisCredentialStore<Token>(connect(), options), (one) => one.close());
    expect(optionAt(() => make({ refresh, leaseMs: 2_999 }, store))).toBe('leaseMs');
    await make({ refresh, leaseMs: 3_000 }, store).close();
  });

  it('keeps a first pause of more than a minute', async () => {
    await make({ refresh, backOffMs: 120_000 }).close();
  });
});
