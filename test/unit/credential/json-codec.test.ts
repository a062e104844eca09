import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { EncodeError, jsonCodec, UnreadableError } from 'credstream';

const CANARY = 'canary-4d1f';

async function serialized(codec: ReturnType<typeof jsonCodec>, value: unknown): Promise<string> {
  return Buffer.from(await codec.serialize(value)).toString('utf8');
}

/** What `work` throws or rejects with. */
async function failureOf(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}

function expectSecret(error: Error): void {
  for (const text of [error.message, error.stack, JSON.stringify(error), String(error.cause)])
    expect(text ?? '').not.toContain(CANARY);
}

describe('jsonCodec without a schema', () => {
  const codec = jsonCodec();

  it('returns every value that JSON can represent', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(!JSON.stringify(value).includes('"__proto__":'));
        const bytes = Buffer.from(codec.serialize(value) as string);
        // JSON has one zero only.
        expect(codec.deserialize(bytes)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('leaves out undefined, as JSON does', () => {
    expect(codec.serialize({ a: 1, b: undefined })).toBe('{"a":1}');
  });

  class Tokens {
    readonly accessToken = 'a';
  }

  it('keeps the data of an instance', () => {
    expect(codec.serialize(new Tokens())).toBe('{"accessToken":"a"}');
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['a function', () => CANARY],
    ['a symbol', Symbol(CANARY)],
    ['a bigint', 5n],
    ['NaN', { a: NaN }],
    ['Infinity', { a: [Infinity] }],
    ['a Date', { at: new Date(0) }],
    ['a Map', { map: new Map([[CANARY, CANARY]]) }],
    ['a Set', { set: new Set([CANARY]) }],
    ['a Buffer', { key: Buffer.from(CANARY) }],
    ['a typed array', { key: new Uint8Array(3) }],
    ['an ArrayBuffer', { key: new ArrayBuffer(3) }],
    ['a nested function', { token: CANARY, refresh: () => CANARY }],
    ['a nested symbol', { token: CANARY, tag: Symbol('x') }],
    ['undefined in a list', { scopes: [CANARY, undefined] }],
    ['a hole in a list', { scopes: Array.from({ length: 2 }) }],
    ['a regular expression', { pattern: /canary/ }],
    ['an error', { cause: new Error(CANARY) }],
    ['a URL', { issuer: new URL('https://canary.example') }],
    ['a promise', { token: Promise.resolve(CANARY) }],
    ['a boxed string', { token: Object('boxed') as unknown }],
    [
      'an accessor that throws',
      Object.defineProperty({}, 'a', {
        enumerable: true,
        get: () => {
          throw new Error(CANARY);
        },
      }),
    ],
    [
      'toJSON that throws',
      {
        toJSON: () => {
          throw new Error(CANARY);
        },
      },
    ],
  ])('refuses %s, which would not survive the round trip', async (_name, value) => {
    const error = await failureOf(() => codec.serialize(value));
    expect(error).toBeInstanceOf(EncodeError);
    expect(error).toMatchObject({ code: 'ENCODE_FAILED', reason: 'not-json' });
    expectSecret(error);
  });

  it('refuses cycles and endless depth', async () => {
    const cycle: Record<string, unknown> = { token: CANARY };
    cycle['self'] = cycle;
    let deep: unknown = CANARY;
    for (let n = 0; n < 100_000; n += 1) deep = [deep];
    for (const value of [cycle, deep]) {
      const error = await failureOf(() => codec.serialize(value));
      expect(error).toMatchObject({ code: 'ENCODE_FAILED', reason: 'not-json' });
      expectSecret(error);
    }
  });

  it.each<[string, Buffer]>([
    ['nothing', Buffer.from('')],
    ['cut off', Buffer.from(`{"token":"${CANARY}`)],
    ['no JSON', Buffer.from(`token=${CANARY}`)],
    ['two values', Buffer.from(`"${CANARY}" "x"`)],
    ['with a byte order mark', Buffer.from(`\ufeff{"token":"${CANARY}"}`)],
    ['in Latin-1', Buffer.from(`{"token":"${CANARY} é"}`, 'latin1')],
    ['in UTF-16', Buffer.from(`{"token":"${CANARY}"}`, 'utf16le')],
    ['with half a character', Buffer.from([0x22, 0xe2, 0x82, 0x22])],
    ['with a key __proto__', Buffer.from(`{"__proto__":{"token":"${CANARY}"}}`)],
    ['with a nested key __proto__', Buffer.from(`[{"a":{"__proto__":"${CANARY}"}}]`)],
    ['with a disguised key __proto__', Buffer.from(`{"__\\u0070roto__":"${CANARY}"}`)],
  ])('cannot read bytes that are %s', async (_name, bytes) => {
    const error = await failureOf(() => codec.deserialize(bytes));
    expect(error).toBeInstanceOf(UnreadableError);
    expect(error).toMatchObject({ code: 'UNREADABLE', reason: 'decode' });
    expectSecret(error);
  });

  it('reads a value with __proto__ as data', () => {
    const text = '{"note":"__proto__","list":["__proto__"],"proto":1,"constructor":2}';
    expect(codec.deserialize(Buffer.from(text))).toEqual(JSON.parse(text));
  });
});

describe('jsonCodec with a schema', () => {
  const codec = jsonCodec(
    z.object({
      token: z.string().min(3),
      scopes: z.array(z.string()).default([]),
      at: z.coerce.date().optional(),
    }),
  );

  it('writes the given value and reads the output of the schema', async () => {
    const at = new Date(5);
    const text = await serialized(codec as never, { token: 'abc', scopes: ['r'], at });
    expect(text).toBe('{"token":"abc","scopes":["r"],"at":"1970-01-01T00:00:00.005Z"}');
    expect(await codec.deserialize(Buffer.from(text))).toEqual({ token: 'abc', scopes: ['r'], at });
    expect(await codec.deserialize(Buffer.from('{"token":"abc","more":1}'))).toEqual({
      token: 'abc',
      scopes: [],
    });
  });

  it('does not save a value that it could not read again', async () => {
    for (const wrong of [{ token: 5 }, { token: 'ab' }, {}, null, CANARY]) {
      const error = await failureOf(() => codec.serialize(wrong as never));
      expect(error).toMatchObject({ code: 'ENCODE_FAILED', reason: 'schema' });
      expectSecret(error);
    }
  });

  it('does not read a value that the schema refuses', async () => {
    for (const wrong of [{ token: 5 }, [], CANARY, { token: 'abc', scopes: CANARY }]) {
      const error = await failureOf(() => codec.deserialize(Buffer.from(JSON.stringify(wrong))));
      expect(error).toMatchObject({ code: 'UNREADABLE', reason: 'schema' });
      expectSecret(error);
    }
  });

  it('reports the number of issues, never their text', async () => {
    const quoting = jsonCodec(
      z.object({
        token: z.string().refine(() => false, `bad ${CANARY}`),
        other: z.literal(CANARY),
      }),
    );
    const one = await failureOf(() =>
      quoting.deserialize(Buffer.from(`{"token":"${CANARY}","other":"${CANARY}"}`)),
    );
    expect(one.message).toContain('1 issue');
    const two = await failureOf(() => quoting.serialize({ token: CANARY, other: 'x' } as never));
    expect(two.message).toContain('2 issues');
    for (const error of [one, two]) expectSecret(error);
  });

  it('distinguishes broken bytes from values of the wrong shape', async () => {
    const error = await failureOf(() => codec.deserialize(Buffer.from('{')));
    expect(error).toMatchObject({ code: 'UNREADABLE', reason: 'decode' });
  });

  it('accepts sync and async schemas', async () => {
    const slow = jsonCodec(z.string().refine((text) => Promise.resolve(text !== 'no')));
    expect(await serialized(slow as never, 'yes')).toBe('"yes"');
    const error = await failureOf(() => slow.serialize('no'));
    expect(error).toMatchObject({ reason: 'schema' });
  });
});
