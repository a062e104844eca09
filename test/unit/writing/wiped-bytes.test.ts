import { expect, it } from 'vitest';

import { CredentialMemory, MemoryCredentialStore, Reauthenticator } from 'credstream';

import { both } from '../../support/both.js';
import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { UnavailableError } from '../../../src/errors.js';

const isWiped = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

it('the bytes of a write are wiped after it, also after a failure, and what the codec has is not', async () => {
  const own: Buffer[] = [];
  const store = new MemoryCredentialStore<string>({
    key: 'k',
    memory: new CredentialMemory(),
    serialize: (text) => {
      own.push(Buffer.from(text));
      return own.at(-1)!;
    },
    deserialize: String,
  });
  const { backend } = internalsOf(store);
  const written: Buffer[] = [];
  const write = backend.write.bind(backend);
  backend.write = (request) => {
    written.push(request.bytes);
    expect(isWiped(request.bytes)).toBe(false);
    if (written.length === 2) return Promise.reject(new UnavailableError('no link'));
    return write(request);
  };
  await store.save('one');
  await expect(store.save('two')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await store.save('three');
  expect(written.map(isWiped)).toEqual([true, true, true]);
  expect(own.map(String)).toEqual(['one', 'two', 'three']);
  expect(await store.load()).toBe('three');
  await store.close();
});

it('the bytes of a commit are wiped after it, and what deserialize got is not', async () => {
  const given: Buffer[] = [];
  const store = new MemoryCredentialStore<string>({
    key: 'k',
    memory: new CredentialMemory(),
    serialize: (text) => text,
    deserialize: (bytes) => {
      given.push(bytes);
      return bytes.toString();
    },
  });
  const { backend } = internalsOf(store);
  const committed: Buffer[] = [];
  const swap = backend.swap.bind(backend);
  let failures = 0;
  backend.swap = (request) => {
    const bytes = request.change?.write?.bytes;
    if (bytes === undefined) return swap(request);
    committed.push(bytes);
    expect(isWiped(bytes)).toBe(false);
    failures += 1;
    return failures === 1 ? Promise.reject(new UnavailableError('no link')) : swap(request);
  };
  const auth = new Reauthenticator(
    store,
    both(() => 'new'),
  );
  expect(await auth.credentials()).toBe('new');
  await auth.close();
  expect(committed).toHaveLength(2);
  expect(committed.map(isWiped)).toEqual([true, true]);
  expect(given.map(String)).toContain('new');
  expect(given.some(isWiped)).toBe(false);
  await store.close();
});
