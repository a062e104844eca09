import { inspect } from 'node:util';

import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  InvalidOptionError,
  MemoryCredentialStore,
  RedisCredentialStore,
  systemClock,
} from 'credstream';

import {
  checkKey,
  checkMs,
  checkReason,
  checkTtlSeconds,
  isWellFormed,
  describeType,
} from '../../../src/util/option-checks.js';

/** Whatever is wrong may be a secret that somebody put in the wrong place. */
const CANARY = 'canary-e5b0';

function expectRefusal(make: () => unknown): InvalidOptionError {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect(error).toMatchObject({ code: 'INVALID_OPTION', retryable: false });
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY);
    return error as InvalidOptionError;
  }
  throw new Error('it was not refused');
}

const FUNCTIONS = ['serialize', 'deserialize', 'expiresAt', 'onCallbackError'];
const FLAGS = ['allowEarlyRemoval', 'abortOnSaved'];
const DURATIONS = [
  ['maxStalenessMs', 0, Infinity],
  ['readyTimeoutMs', 1, Infinity],
  ['decodeTimeoutMs', 1, 2 ** 31 - 1],
  ['closeTimeoutMs', 1, 2 ** 31 - 1],
] as const;
const CONNECTION_DURATIONS = ['heartbeatMs', 'replyTimeoutMs', 'pollMs', 'probeMs'].map(
  (name) => [name, 10, 2 ** 31 - 1] as const,
);

const notFunctions = [null, 0, '', CANARY, {}, [CANARY], true];
const notFlags = [null, 0, 1, '', 'true', CANARY, {}, () => true];
const notNumbers = [null, '', '5', CANARY, {}, [5], 5n, true, new Date(), NaN];

type Matrix = readonly (readonly [option: string, value: unknown])[];

function durations(all: readonly (readonly [string, number, number])[]): Matrix {
  return all.flatMap(([name, min, max]) =>
    [...notNumbers, min - 1, -1, -Infinity, ...(max === Infinity ? [] : [max + 1, Infinity])].map(
      (value) => [name, value] as const,
    ),
  );
}

const storeMatrix: Matrix = [
  ...[undefined, null, 0, '', {}, [CANARY], () => 'k', Buffer.from('k')].map(
    (key) => ['key', key] as const,
  ),
  ...[
    '\n',
    'a\u0000b',
    `${CANARY}\r`,
    '\u007f',
    '\ud800',
    'x\udfff',
    'credstream:',
    'credstream:0:k',
  ].map((key) => ['key', key] as const),
  ['key', 'k'.repeat(1025)],
  ['key', 'ß'.repeat(513)],
  ...FUNCTIONS.flatMap((name) => notFunctions.map((value) => [name, value] as const)),
  ...FLAGS.flatMap((name) => notFlags.map((value) => [name, value] as const)),
  ...durations(DURATIONS),
  ...[...notNumbers, 0, -1, 1.5, Infinity, 2 ** 29 + 1].map(
    (value) => ['maxBytes', value] as const,
  ),
  ...[
    null,
    '',
    '10',
    '10 ',
    '0x10',
    CANARY,
    {},
    [10],
    5n,
    true,
    NaN,
    0,
    -1,
    1.5,
    Infinity,
    1e21,
    2 ** 53,
  ].map((value) => ['ttlSeconds', value] as const),
  ...['keep', 'none'].map((value) => ['ttlSeconds', value] as const),
  ...['ttl', 'expireAt', 'clokc', 'constructor', '__proto'].map((name) => [name, 1] as const),
];

const memoryMatrix: Matrix = [
  ...storeMatrix,
  ...[null, 0, '', {}, new Map(), 'memory'].map((value) => ['memory', value] as const),
  ['heartbeatMs', 5_000],
];

/** Characters that end the namespace, or mean something in a pattern, a rule or a hash tag, or are not the same to everybody. */
const NOT_NAMESPACES = [
  ...[null, 0, '', {}, ['app'], true, 'n'.repeat(65), `${CANARY}:`, ':', 'a:b'],
  ...['a*', 'a?', '[a]', 'a]', 'a\\', '{a}', 'a}', 'a b', ' ', 'a\n', 'a\0', '\u007f', '\ud800'],
  ...['__keyspace@0__', '~a', '&a', '%R', 'a^', 'ä', '\u202e', '🔑', 'a\n'],
];

const redisMatrix: Matrix = [
  ...storeMatrix,
  ...durations(CONNECTION_DURATIONS),
  ...notFlags.map((value) => ['configureNotifications', value] as const),
  ...notFunctions.map((value) => ['random', value] as const),
  ...[null, 0, '', {}, { ...systemClock, now: 5 }, { ...systemClock, nextTurn: undefined }].map(
    (value) => ['clock', value] as const,
  ),
  ...NOT_NAMESPACES.map((value) => ['namespace', value] as const),
  ['memory', new CredentialMemory()],
];

const client = new Redis({ lazyConnect: true });

describe('a store in memory', () => {
  it.each(memoryMatrix)('refuses the option %s: %o', (option, value) => {
    const make = () => new MemoryCredentialStore({ key: 'k', [option]: value });
    expect(expectRefusal(make)).toMatchObject({ option });
  });

  it.each([undefined, null, 5, CANARY])('refuses %s for options', (options) => {
    const make = () => new MemoryCredentialStore(options as never);
    expect(expectRefusal(make)).toMatchObject({ option: 'options' });
  });
});

describe('a store on Redis', () => {
  it.each(redisMatrix)('refuses the option %s: %o', (option, value) => {
    const make = () => new RedisCredentialStore(client, { key: 'k', [option]: value });
    expect(expectRefusal(make)).toMatchObject({ option });
    expect(client.status).toBe('wait');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a URL of something else', `http://:${CANARY}@localhost`],
    ['options of a client', { host: 'localhost', password: CANARY }],
    ['a class', Redis],
  ])('refuses %s for a client', (_name, wrong) => {
    const make = () => new RedisCredentialStore(wrong as never, { key: 'k' });
    expect(expectRefusal(make)).toMatchObject({ option: 'redis' });
  });

  it('refuses a client that is closed, and one that monitors', () => {
    const closed = new Redis({ lazyConnect: true, password: CANARY });
    closed.disconnect();
    const monitor = new Redis({ lazyConnect: true, monitor: true, password: CANARY });
    for (const wrong of [closed, monitor]) {
      const make = () => new RedisCredentialStore(wrong, { key: 'k' });
      expect(expectRefusal(make)).toMatchObject({ option: 'redis' });
    }
  });

  it('checks the key with its prefix, as in Redis', () => {
    const prefixed = (keyPrefix: string) => new Redis({ lazyConnect: true, keyPrefix });
    const make = (keyPrefix: string, key: string) => () =>
      new RedisCredentialStore(prefixed(keyPrefix), { key });
    expect(expectRefusal(make('credstream:', 'x'))).toMatchObject({ option: 'key' });
    expect(expectRefusal(make('cred', 'stream:x'))).toMatchObject({ option: 'key' });
    expect(expectRefusal(make('p'.repeat(1_000), 'k'.repeat(25)))).toMatchObject({ option: 'key' });
    expect(make('app:', 'k'.repeat(1_000))).not.toThrow();
  });

  it('refuses the keys of its own namespace, and of no other', () => {
    const make = (key: string, namespace?: string) => () =>
      new RedisCredentialStore(client, { key, namespace });
    expect(expectRefusal(make('app:epoch', 'app'))).toMatchObject({
      option: 'key',
      message: 'key: must not begin with app:, which the store uses itself',
    });
    const accepted = [make('app:epoch')(), make('credstream:x', 'app')(), make('apps:x', 'app')()];
    return Promise.all(accepted.map((store) => store.close()));
  });

  it.each(['a', '0', 'Orders-v2.eu_west', '-', '.', '__redis__', 'n'.repeat(64)])(
    'accepts the namespace %s',
    (namespace) => new RedisCredentialStore(client, { key: 'k', namespace }).close(),
  );

  it('refuses another clock than the other stores on the client use', () => {
    const shared = new Redis({ lazyConnect: true });
    const first = new RedisCredentialStore(shared, { key: 'k' });
    const make = () => new RedisCredentialStore(shared, { key: 'l', clock: { ...systemClock } });
    expect(expectRefusal(make)).toMatchObject({ option: 'clock' });
    return first.close();
  });
});

describe('a valid option', () => {
  it.each<[string, unknown]>([
    ['key', 'k'.repeat(1024)],
    ['key', 'a:{b}*?[c] \u{1f511} credstream:'],
    ['key', '__proto__'],
    ['ttlSeconds', 1],
    ['ttlSeconds', Math.floor(2 ** 52 / 1000)],
    ['ttlSeconds', () => undefined],
    ['maxStalenessMs', 0],
    ['maxStalenessMs', Infinity],
    ['readyTimeoutMs', Infinity],
    ['decodeTimeoutMs', 0.5 + 1],
    ['maxBytes', 1],
    ['maxBytes', 2 ** 29],
    ['expiresAt', undefined],
    ['allowEarlyRemoval', undefined],
  ])('is accepted: %s: %o', (option, value) => {
    const store = new MemoryCredentialStore({ key: 'k', [option]: value });
    expect(store.status.link).toBe('idle');
  });
});

describe('a memory', () => {
  it.each<[string, unknown]>([
    ['clock', null],
    ['clock', {}],
    ['random', 5],
    ['clokc', systemClock],
  ])('refuses the option %s: %o', (option, value) => {
    const make = () => new CredentialMemory({ [option]: value });
    expect(expectRefusal(make)).toMatchObject({ option });
  });

  it.each([0, -1, NaN, Infinity, '5', null])('refuses to keep bytes for %s ms', (ttlMs) => {
    const memory = new CredentialMemory();
    memory.set('k', 'one');
    const wrong = ttlMs as number;
    expect(expectRefusal(() => memory.set('k', CANARY, { ttlMs: wrong }))).toMatchObject({
      option: 'ttlMs',
    });
    expect(expectRefusal(() => memory.expire('k', wrong))).toMatchObject({ option: 'ttlMs' });
    expect(memory.get('k')?.toString()).toBe('one');
  });
});

describe('the checks', () => {
  it('show the type of a value, never the value', () => {
    expect(
      [null, [CANARY], { a: CANARY }, CANARY, 5, () => CANARY, undefined].map(describeType),
    ).toEqual(['null', 'an array', 'an object', 'string', 'number', 'function', 'undefined']);
  });

  it('name the given option', () => {
    expect(expectRefusal(() => checkKey(5, 'prefix')).option).toBe('prefix');
    expect(expectRefusal(() => checkTtlSeconds(0.5, 'graceSeconds')).option).toBe('graceSeconds');
    expect(expectRefusal(() => checkMs(0, 'leadMs')).option).toBe('leadMs');
  });

  it.each(['', 'x'.repeat(256), 'ok \u{1f511}', undefined])('accept %j as a reason', (reason) => {
    expect(checkReason(reason)).toBe(reason);
  });

  it.each(['x'.repeat(257), '\ud800', 5, null, {}])('do not accept %j as a reason', (reason) => {
    expect(expectRefusal(() => checkReason(reason)).option).toBe('reason');
  });

  it('distinguish lone surrogates, which collide in Redis, from pairs', () => {
    expect(['a', '\u{1f511}', ''].every(isWellFormed)).toBe(true);
    expect(['\ud800', 'a\udc00', '\udc00\ud800'].some(isWellFormed)).toBe(false);
  });
});
