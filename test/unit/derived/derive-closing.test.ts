import { describe, expect, it } from 'vitest';

import {
  ClosedError,
  CredentialMemory,
  derive,
  MemoryCredentialDirectory,
  MemoryCredentialStore,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';
import { bytesOf, deriveWorld, outcomeOf, type Token } from './derive-world.js';

describe('the closing of a derived value', () => {
  it('follows the closing of the store', async () => {
    const { clock, store, derived, save, disposed } = deriveWorld();
    await save('one');
    await derived.get();
    await store.close();
    await clock.settle();
    expect([derived.state, disposed(), clock.pendingTimers]).toEqual([
      { type: 'closed' },
      ['one'],
      0,
    ]);
  });

  it('comes first when the store is closed, which waits for running uses and for disposal', async () => {
    const { clock, store, derived, save, disposed } = deriveWorld();
    await save('one');
    const finished = deferred();
    const used = derived.use(async ({ name }) => {
      await finished.promise;
      return name;
    });
    await clock.settle();
    const closed = outcomeOf(store.close().then(() => disposed().slice()));
    await clock.settle();
    expect([derived.state, disposed(), closed]).toEqual([{ type: 'closed' }, [], {}]);
    finished.resolve();
    expect(await used).toBe('one');
    await clock.settle();
    expect(closed).toEqual({ value: ['one'] });
  });

  it('comes first when the directory of the store is closed', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    const directory = new MemoryCredentialDirectory<Token>({ prefix: 'k:', memory });
    memory.set('k:1', bytesOf('one'));
    const events: string[] = [];
    const derived = derive(directory.store('1'), ({ token }) => token, {
      dispose: async (token) => {
        await clock.settle();
        events.push(`${token} disposed of`);
      },
    });
    await derived.get();
    await directory.close();
    events.push('directory closed');
    expect([events, derived.state]).toEqual([
      ['one disposed of', 'directory closed'],
      { type: 'closed' },
    ]);
  });

  it('ends the registration at the store', async () => {
    const { store, derived } = deriveWorld();
    let closings = 0;
    const close = derived.close.bind(derived);
    derived.close = () => {
      closings += 1;
      return close();
    };
    await derived.close();
    await store.close();
    expect(closings).toBe(1);
  });

  it('refuses a store that is closed already', async () => {
    const store = new MemoryCredentialStore<Token>({ key: 'k' });
    await store.close();
    expect(() => derive(store, ({ token }) => token)).toThrow(ClosedError);
  });

  it('happens at the first use when the store is closed already', async () => {
    const { store, derived } = deriveWorld();
    await store.close();
    await expect(derived.get()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(derived.state).toEqual({ type: 'closed' });
  });
});
