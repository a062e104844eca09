import { inspect } from 'node:util';

import { describe, expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import { AsyncContext } from '../../../src/time/async-context.js';
import type { EncodeError } from '../../../src/errors.js';
import {
  digest,
  Encoding,
  type EncodingOptions,
  type ExpiresAt,
} from '../../../src/credential/encoding.js';

const CANARY = 'canary-91c2';
const NEVER = new Promise<never>(() => {});

interface Reported {
  readonly error: unknown;
  readonly where: string;
}

type Options = Partial<EncodingOptions<string>> & { readonly expiresAt?: ExpiresAt<string> };

function world({ expiresAt, ...options }: Options = {}) {
  const clock = new VirtualClock();
  const reported: Reported[] = [];
  const all: EncodingOptions<string> = {
    serialize: (value) => value,
    deserialize: (bytes) => bytes.toString('utf8'),
    context: AsyncContext.empty(),
    maxBytes: 100,
    decodeTimeoutMs: 1_000,
    onCallbackError: (error, where) => reported.push({ error, where }),
    ...options,
  };
  const encoding = new Encoding<string>({ options: all, clock }, expiresAt);
  const decode = (text: string, again?: boolean) =>
    encoding.decode({ type: 'bytes', bytes: Buffer.from(text) }, again);
  return { clock, reported, encoding, decode };
}

/** What `work` throws or rejects with. */
async function expectRefusal(work: () => unknown): Promise<EncodeError> {
  let error: unknown;
  try {
    await work();
  } catch (reason) {
    error = reason;
  }
  expect(error).toMatchObject({ code: 'ENCODE_FAILED', retryable: false });
  expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY);
  return error as EncodeError;
}

describe('encoding', () => {
  it('returns at once when no codec is async', () => {
    const { encoding } = world();
    const encoded = encoding.encode('a');
    expect(encoded).toMatchObject({ bytes: Buffer.from('a') });
    const content = { type: 'bytes', bytes: Buffer.from('a') } as const;
    expect(encoding.decodeHeld(content)).toMatchObject({ type: 'readable' });
  });

  it.each<[string, EncodingOptions<string>['serialize']]>([
    ['a string', () => 'päß'],
    ['bytes', () => new TextEncoder().encode('päß')],
    ['a Buffer', () => Buffer.from('päß')],
    ['a promise of a string', () => Promise.resolve('päß')],
    ['a thenable', () => ({ then: (use: (v: string) => void) => use('päß') }) as Promise<string>],
  ])('takes %s for bytes', async (_name, serialize) => {
    const { encoding } = world({ serialize });
    const { bytes, logicalEnd } = await encoding.encode('x');
    expect(bytes).toEqual(Buffer.from('päß'));
    expect(logicalEnd).toBeUndefined();
  });

  it('copies the bytes, so that the caller may reuse its buffer', async () => {
    const mine = Uint8Array.from([1, 2, 3]);
    const { encoding } = world({ serialize: () => mine });
    const { bytes } = await encoding.encode('x');
    mine.fill(0);
    expect([...bytes]).toEqual([1, 2, 3]);
  });

  it('encodes a part of a larger buffer as that part', async () => {
    const { encoding } = world({
      serialize: () => new Uint8Array(Uint8Array.from([9, 1, 2, 9]).buffer, 1, 2),
    });
    expect([...(await encoding.encode('x')).bytes]).toEqual([1, 2]);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['an object', { toString: () => CANARY }],
    ['a list, which ioredis would take for options', [CANARY, 'EX', '100']],
    ['a lone surrogate', `${CANARY}\ud800`],
    ['other typed arrays', new Uint16Array(4)],
    ['an ArrayBuffer', new ArrayBuffer(4)],
  ])('refuses %s', async (_name, result) => {
    for (const serialize of [() => result, () => Promise.resolve(result)]) {
      const { encoding, reported } = world({ serialize: serialize as () => string });
      expect((await expectRefusal(() => encoding.encode(CANARY))).reason).toBe('not-bytes');
      expect(reported).toEqual([]);
    }
  });

  it('refuses more than maxBytes, counted in bytes', async () => {
    const { encoding } = world({ maxBytes: 6 });
    expect((await encoding.encode('ääa')).bytes).toHaveLength(5);
    expect((await expectRefusal(() => encoding.encode('ääää'))).reason).toBe('too-large');
  });

  it('reports the error of serialize to the caller alone', async () => {
    const thrown = new Error(CANARY);
    for (const serialize of [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
    ]) {
      const { encoding, reported } = world({ serialize });
      expect((await expectRefusal(() => encoding.encode(CANARY))).reason).toBe('threw');
      expect(reported).toEqual([{ error: thrown, where: 'serialize' }]);
    }
  });

  it('ends with an error when serialize does not settle', async () => {
    const { clock, encoding, reported } = world({ serialize: () => NEVER });
    const refusal = expectRefusal(() => encoding.encode(CANARY));
    await clock.advance(999);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(1);
    expect((await refusal).reason).toBe('timeout');
    expect(clock.pendingTimers).toBe(0);
    expect(reported).toEqual([]);
  });

  it('drops a result after the deadline, also a rejection', async () => {
    let reject: (error: Error) => void = () => {};
    const { clock, encoding } = world({
      serialize: () =>
        new Promise((_resolve, onReject) => {
          reject = onReject;
        }),
    });
    const refusal = expectRefusal(() => encoding.encode('x'));
    await clock.advance(1_000);
    await refusal;
    reject(new Error(CANARY));
    await clock.settle();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('decoding', () => {
  it.each(['wrong-type', 'too-large'] as const)(
    'recognizes foreign content: %s',
    async (reason) => {
      const { encoding } = world();
      const decoded = await encoding.decode({ type: 'foreign', reason });
      expect(decoded).toMatchObject({ type: 'unreadable', error: { code: 'UNREADABLE', reason } });
    },
  );

  it('reports the error of deserialize once for the same bytes', async () => {
    const { decode, reported } = world({
      deserialize: (bytes) => {
        throw new SyntaxError(`Unexpected token in ${bytes.toString()}`);
      },
    });
    for (const again of [false, true]) {
      const decoded = await decode(CANARY, again);
      expect(decoded).toMatchObject({ type: 'unreadable', error: { reason: 'decode' } });
      expect(inspect(decoded, { depth: Infinity, showHidden: true })).not.toContain(CANARY);
    }
    expect(reported).toHaveLength(1);
    expect(reported[0]).toMatchObject({ where: 'deserialize' });
  });

  it('ends with an error when deserialize does not settle', async () => {
    const { clock, decode, reported } = world({ deserialize: () => NEVER });
    const decoding = decode(CANARY);
    await clock.advance(1_000);
    expect(await decoding).toMatchObject({ type: 'unreadable', error: { reason: 'timeout' } });
    expect(reported).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('accepts undefined and other falsy values as credentials', async () => {
    for (const value of [undefined, null, '', 0, false]) {
      const { decode } = world({ deserialize: () => value as string });
      expect(await decode('x')).toEqual({
        type: 'readable',
        credentials: value,
        logicalEnd: undefined,
      });
    }
  });
});

describe('the logical end', () => {
  const NOW = Date.UTC(2040, 0, 1);

  it.each<[string, Date | number | null | undefined, number | undefined]>([
    ['a Date', new Date(NOW), NOW],
    ['epoch milliseconds', NOW, NOW],
    ['a fraction of a millisecond', NOW + 0.5, NOW + 0.5],
    ['undefined', undefined, undefined],
    ['null', null, undefined],
    ['an instant long past', 1e11, 1e11],
  ])('may be %s', async (_name, end, expected) => {
    const { encoding, decode } = world({ expiresAt: () => end });
    expect((await encoding.encode('x')).logicalEnd).toBe(expected);
    expect(await decode('x')).toMatchObject({ type: 'readable', logicalEnd: expected });
  });

  it.each<[string, unknown]>([
    ['seconds', NOW / 1000],
    ['zero', 0],
    ['a negative number', -1],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['an invalid Date', new Date('x')],
    ['more than a Date can hold', 8.65e15],
    ['a string', '2040-01-01'],
    ['a promise', Promise.resolve(NOW)],
    ['a bigint', 5n],
  ])('must not be %s', async (_name, end) => {
    const { encoding, decode, reported } = world({ expiresAt: () => end as number });
    expect((await expectRefusal(() => encoding.encode(CANARY))).reason).toBe('expires-at');
    const decoded = await decode(CANARY);
    expect(decoded).toMatchObject({ type: 'unreadable', error: { reason: 'expires-at' } });
    expect(inspect(decoded, { depth: Infinity })).not.toContain(CANARY);
    expect(reported).toEqual([]);
  });

  it('is unreadable when expiresAt throws, with the error for the caller alone', async () => {
    const thrown = new Error(CANARY);
    const { encoding, decode, reported } = world({
      expiresAt: () => {
        throw thrown;
      },
    });
    expect((await expectRefusal(() => encoding.encode(CANARY))).reason).toBe('expires-at');
    expect(await decode('x')).toMatchObject({ error: { reason: 'expires-at' } });
    expect(reported).toEqual([
      { error: thrown, where: 'expiresAt' },
      { error: thrown, where: 'expiresAt' },
    ]);
  });
});

describe('the digest of bytes', () => {
  it('differs for different bytes, and is the same for the same', () => {
    // SHA-1 of "abc", from FIPS 180.
    expect(digest(Buffer.from('abc'))).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
    expect(digest(Buffer.from('abc'))).not.toBe(digest(Buffer.from('abd')));
    expect(digest(new Uint8Array())).toHaveLength(40);
  });
});
