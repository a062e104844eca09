import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

import {
  CredentialMemory,
  derive,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
  Reauthenticator,
  type ObservableCredentialStore,
} from 'credstream';

import { both } from '../../support/both.js';
import { eventually } from '../../support/wait.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

interface Token {
  readonly token: string;
}

async function expectCollected(ref: WeakRef<object>): Promise<void> {
  await eventually(() => {
    gc();
    expect(ref.deref()).toBeUndefined();
  });
}

/** Saves and clears; keeps only the signal, and a weak reference to the credentials. */
async function withdraw(
  store: ObservableCredentialStore<Token>,
  remove: () => unknown,
): Promise<{ readonly signal: AbortSignal; readonly ref: WeakRef<object> }> {
  await store.save({ token: 'revoked' });
  const { signal, credentials } = store.current!;
  const ref = new WeakRef<object>(credentials);
  await remove();
  await eventually(() => expect(signal.aborted).toBe(true));
  return { signal, ref };
}

describe('after a withdrawal', () => {
  it.each(['clear', 'unreadable'] as const)(
    'by %s, a store holds the credentials no longer',
    async (how) => {
      const memory = new CredentialMemory();
      const store = new MemoryCredentialStore<Token>({
        ...{ key: 'k', memory, onCallbackError: () => undefined },
      });
      const emitted: string[] = [];
      store.on('change', ({ type, previous }) => {
        emitted.push(`${type} ${String(previous?.credentials.token)}`);
      });
      store.state$.subscribe();
      store.credentials$.subscribe();
      await store.ready();
      const { signal, ref } = await withdraw(store, () =>
        how === 'clear' ? store.clear() : memory.set('k', 'no JSON'),
      );
      await expectCollected(ref);
      const reason = signal.reason as Error;
      expect(reason).toMatchObject({ name: 'AbortError', code: 'CREDENTIAL_WITHDRAWN' });
      expect(emitted).toEqual(['saved undefined', `${how === 'clear' ? 'cleared' : how} revoked`]);
      await store.close();
    },
  );

  it('neither a directory nor a value nor a reauthenticator holds the credentials', async () => {
    const directory = new MemoryCredentialDirectory<Token>({ prefix: 'p:' });
    directory.changes$.subscribe();
    const store = directory.store('a');
    await store.ready();
    const auth = new Reauthenticator<Token>(store, {
      ...both(() => Promise.reject(new Error('nobody asks'))),
    });
    const value = derive(store, ({ token }) => token.length, { dispose: () => undefined });
    value.value$.subscribe();
    const { ref } = await withdraw(store, () => store.clear());
    await expectCollected(ref);
    await auth.close();
    await directory.close();
  });

  it('a snapshot that the caller holds stays readable', async () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    await store.ready();
    await store.save({ token: 'kept' });
    const held = store.current!;
    await store.clear();
    expect([held.credentials, held.signal.aborted]).toEqual([{ token: 'kept' }, true]);
    await store.close();
  });
});
