import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { jsonCodec } from '../../../src/credential/codec.js';

async function failureOf(run: () => unknown): Promise<unknown> {
  return Promise.resolve()
    .then(run)
    .catch((error: unknown) => error);
}

describe('an EncodeError names the place in the credentials', () => {
  it.each([
    ['a field', { token: 'a', at: new Date(0) }, 'at'],
    ['a nested field', { user: { seen: new Map() } }, 'user.seen'],
    ['an item', { scopes: ['a', undefined] }, 'scopes[1]'],
    ['an item of a list', [1, Number.NaN], '[1]'],
    ['the credentials themselves', new Date(0), 'the top'],
    ['a field whose name may be data', { 'ada@example.org': { at: new Date(0) } }, '[…].at'],
  ])('that JSON would change: %s', async (_name, credentials, path) => {
    const error = await failureOf(() => jsonCodec().serialize(credentials));
    expect(error).toMatchObject({ code: 'ENCODE_FAILED', reason: 'not-json', path });
    expect((error as Error).message).toContain(` at ${path}, which JSON would change`);
    expect((error as Error).message).not.toContain('ada@');
  });

  it('that a schema refuses', async () => {
    const codec = jsonCodec(z.object({ user: z.object({ age: z.number() }) }));
    const wrong = { user: { age: 'canary' } } as never;
    const error = await failureOf(() => codec.serialize(wrong));
    expect(error).toMatchObject({ reason: 'schema', path: 'user.age' });
    expect((error as Error).message).toBe(
      'the schema refused the credentials at user.age (1 issue)',
    );
  });
});
