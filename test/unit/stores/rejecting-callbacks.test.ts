import { beforeEach, describe, expect, it } from 'vitest';

import {
  type CallbackErrorHandler,
  CredentialMemory,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { useCleanup } from '../../support/cleanup.js';

interface Token {
  readonly token: string;
}

interface Reported {
  readonly error: unknown;
  readonly where: string;
}

const SECRET = 'canary-7d10';
const thrown = new Error(SECRET);
const rejecting = (): never => Promise.reject(thrown) as never;
const throwing = (): never => {
  throw thrown;
};

const { track } = useCleanup();
let unhandled: unknown[] = [];
let warnings: Error[] = [];

beforeEach(() => {
  unhandled = [];
  warnings = [];
  const onRejection = (reason: unknown): void => void unhandled.push(reason);
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('unhandledRejection', onRejection);
  track(onRejection, () => process.off('unhandledRejection', onRejection));
  process.on('warning', onWarning);
  track(onWarning, () => process.off('warning', onWarning));
});

function world(options: Partial<MemoryCredentialStoreOptions<Token>>) {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const reported: Reported[] = [];
  const store = track(
    new MemoryCredentialStore<Token>({
      key: 'k',
      memory: memory,
      onCallbackError: (error, where) => reported.push({ error, where }),
      ...options,
    }),
    (one) => one.close(),
  );
  return { clock, memory, store, reported };
}

/** Node tells of unhandled rejections and of warnings when a turn is over. */
async function turns(clock: VirtualClock): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await clock.settle();
}

/** What our warnings say; they must not say more. */
function warned(): string[] {
  const ours = warnings.filter(({ name }) => name === 'CredstreamWarning');
  for (const { message, stack } of ours) expect(`${message} ${stack}`).not.toContain(SECRET);
  return ours.map(({ message }) => message);
}

/** The functions of the caller that may reject although they are not to be async, and ways to have them called. */
const saves = [
  {
    where: 'expiresAt',
    options: { expiresAt: rejecting },
    refusal: { code: 'ENCODE_FAILED', reason: 'expires-at', retryable: false },
  },
  {
    where: 'ttlSeconds',
    options: { ttlSeconds: rejecting },
    refusal: { code: 'INVALID_OPTION', option: 'ttlSeconds', retryable: false },
  },
  {
    where: 'serialize',
    options: { serialize: rejecting, deserialize: (): Token => ({ token: 'x' }) },
    refusal: { code: 'ENCODE_FAILED', reason: 'threw', retryable: false },
  },
] as const;

describe.each(saves)('an async $where that rejects', ({ where, options, refusal }) => {
  it('refuses the save, and is reported to the caller alone', async () => {
    const { clock, memory, store, reported } = world(options);
    const error: unknown = await store.save({ token: 'one' }).catch((reason: unknown) => reason);
    expect(error).toMatchObject(refusal);
    expect((error as Error).message).not.toContain(SECRET);
    await turns(clock);
    expect(memory.get('k')).toBeUndefined();
    expect(reported).toEqual([{ error: thrown, where }]);
    expect(unhandled).toEqual([]);
    expect(warned()).toEqual([]);
  });

  it.each<[string, CallbackErrorHandler]>([
    ['throws', throwing],
    ['returns a rejected promise', rejecting],
  ])('does no more harm with an onCallbackError that %s', async (_how, onCallbackError) => {
    const { clock, store } = world({ ...options, onCallbackError });
    await expect(store.save({ token: 'one' })).rejects.toMatchObject(refusal);
    await turns(clock);
    expect(unhandled).toEqual([]);
    expect(warned()).toEqual([`a function of the caller threw: ${where}`]);
  });
});

describe('an async expiresAt that rejects', () => {
  it('makes the stored bytes unreadable, with the reason', async () => {
    const { clock, memory, store, reported } = world({ expiresAt: rejecting });
    await store.ready();
    memory.set('k', JSON.stringify({ token: 'one' }));
    await turns(clock);
    expect(store.state).toMatchObject({ type: 'unreadable', error: { reason: 'expires-at' } });
    expect(await store.load()).toBeUndefined();
    await turns(clock);
    expect(reported.length).toBeGreaterThanOrEqual(1);
    for (const one of reported.filter(({ where }) => where !== 'load'))
      expect(one).toEqual({ error: thrown, where: 'expiresAt' });
    expect(store.status.freshness).toBe('fresh');
    expect(unhandled).toEqual([]);
  });
});

describe.each<[string, CallbackErrorHandler]>([
  ['throws', throwing],
  ['returns a rejected promise', rejecting],
])('an onCallbackError that %s', (_how, onCallbackError) => {
  it.each([
    ['throws', throwing],
    ['rejects', rejecting],
  ])('causes a warning when a listener %s, and nothing else happens', async (_what, listener) => {
    const { clock, store } = world({ onCallbackError });
    const received: string[] = [];
    store.on('saved', listener);
    store.on('saved', ({ credentials }) => received.push(credentials.token));
    await store.ready();
    for (const token of ['one', 'two']) {
      expect(await store.save({ token })).toEqual({ announced: true });
    }
    await turns(clock);
    expect(received).toEqual(['one', 'two']);
    expect(store.current?.credentials).toEqual({ token: 'two' });
    expect(unhandled).toEqual([]);
    const warning = "a function of the caller threw: listener of 'saved'";
    expect(warned()).toEqual([warning, warning]);
  });

  it.each([
    ['throws', throwing],
    ['rejects', rejecting],
  ])('leaves bytes unreadable after a deserialize that %s', async (_what, deserialize) => {
    const serialize = ({ token }: Token): string => token;
    const { clock, memory, store } = world({ onCallbackError, serialize, deserialize });
    await store.ready();
    memory.set('k', 'one');
    await turns(clock);
    expect(store.state).toMatchObject({ type: 'unreadable', error: { reason: 'decode' } });
    expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh' });
    expect(unhandled).toEqual([]);
    expect(warned()).toEqual(['a function of the caller threw: deserialize']);
  });
});

describe('a store without an onCallbackError', () => {
  it('warns of a listener that rejects, without the message', async () => {
    const { clock, store } = world({ onCallbackError: undefined });
    store.on('saved', rejecting);
    await store.ready();
    await store.save({ token: 'one' });
    await turns(clock);
    expect(warned()).toEqual(["a function of the caller threw: listener of 'saved'"]);
    expect(unhandled).toEqual([]);
  });
});

describe('a promise of the caller with a then that throws', () => {
  const trap = { then: throwing };

  it.each([
    ['expiresAt', { expiresAt: () => trap as never }, 'ENCODE_FAILED'],
    ['ttlSeconds', { ttlSeconds: () => trap as never }, 'INVALID_OPTION'],
  ] as const)('does not escape from %s', async (where, options, code) => {
    const { clock, store, reported } = world(options);
    await expect(store.save({ token: 'one' })).rejects.toMatchObject({ code });
    await turns(clock);
    expect(reported).toEqual([{ error: thrown, where }]);
    expect(unhandled).toEqual([]);
  });
});
