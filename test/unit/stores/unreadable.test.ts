import { afterEach, describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  jsonCodec,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
  UnreadableError,
} from 'credstream';

interface Token {
  readonly accessToken: string;
}

const schema = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof (value as Partial<Token> | null)?.accessToken === 'string'
        ? { value: value as Token }
        : { issues: [{ message: 'no access token' }] },
  },
};

const memory = new CredentialMemory();
const warnings: (readonly [error: unknown, where: string])[] = [];
const onCallbackError = (error: unknown, where: string): void => {
  warnings.push([error, where]);
};
afterEach(() => {
  memory.flush();
  warnings.length = 0;
});

describe.each([
  ['a schema', { ...jsonCodec(schema) }, '{"access_token":"of another program"}', 'schema'],
  ['plain JSON', {}, 'no JSON', 'decode'],
  ['a limit', { maxBytes: 10 }, 'x'.repeat(11), 'too-large'],
] as const)('a value that cannot be read, with %s', (_what, options, bytes, reason) => {
  it('is undefined for load(), with one warning for each value', async () => {
    const store = new MemoryCredentialStore<Token>({
      key: 'k',
      memory,
      onCallbackError,
      ...options,
    });
    memory.set('k', bytes);
    expect(await Promise.all([store.load(), store.load()])).toEqual([undefined, undefined]);
    expect(await store.load()).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(JSON.stringify(warnings)).not.toContain('another program');
    await store.close();
  });

  it('is an error for read()', async () => {
    const store = new MemoryCredentialStore<Token>({
      key: 'k',
      memory,
      onCallbackError,
      ...options,
    });
    memory.set('k', bytes);
    await expect(store.read()).rejects.toBeInstanceOf(UnreadableError);
    await expect(store.read()).rejects.toMatchObject({ code: 'UNREADABLE', reason });
    await store.close();
  });

  it('has one warning also where a directory opens the id for each call', async () => {
    const directory = new MemoryCredentialDirectory<Token>({
      ...{ prefix: 'p:', memory, onCallbackError },
      ...options,
    });
    memory.set('p:a', bytes);
    expect(await directory.load('a')).toBeUndefined();
    expect(await directory.load('a')).toBeUndefined();
    expect(warnings).toHaveLength(1);
    await expect(directory.read('a')).rejects.toMatchObject({ code: 'UNREADABLE' });
    await directory.close();
  });
});

it('another value that cannot be read has a warning of its own', async () => {
  const codec = jsonCodec(schema);
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory, onCallbackError, ...codec });
  for (const bytes of ['{"a":1}', '{"a":2}', '{"a":1}']) {
    memory.set('k', bytes);
    expect(await store.load()).toBeUndefined();
  }
  expect(warnings.map(([error, where]) => [(error as UnreadableError).code, where])).toEqual([
    ['UNREADABLE', 'load'],
    ['UNREADABLE', 'load'],
  ]);
  await store.close();
});
