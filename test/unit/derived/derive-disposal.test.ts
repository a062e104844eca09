import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { CredentialMemory, derive, type Derived, MemoryCredentialStore } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';
import { bytesOf, deriveWorld, type DeriveWorld, HOUR, outcomeOf } from './derive-world.js';

describe('a value that was replaced', () => {
  it('is disposed of after its last use', async () => {
    const { clock, derived, save, disposed } = deriveWorld();
    await save('one');
    const [first, second] = [deferred(), deferred()];
    const uses = [derived.use(() => first.promise), derived.use(() => second.promise)];
    await clock.settle();
    await save('two');
    expect(await derived.use((client) => client.name)).toBe('two');
    first.resolve();
    await uses[0];
    expect(disposed()).toEqual([]);
    second.resolve();
    await uses[1];
    expect(disposed()).toEqual(['one']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is disposed of at once when it is unused', async () => {
    const { derived, save, disposed } = deriveWorld();
    await save('one');
    await derived.use(() => undefined);
    await save('two');
    expect(disposed()).toEqual(['one']);
  });

  it('is disposed of after graceMs, also while it is in use', async () => {
    const { clock, derived, calls, clients, save } = deriveWorld({ derive: { graceMs: 100 } });
    await save('one');
    const work = deferred();
    const use = derived.use(() => work.promise);
    await clock.settle();
    await save('two');
    await clock.advance(99);
    expect([clients[0]!.disposals, calls[0]!.context.signal.aborted]).toEqual([0, false]);
    await clock.advance(1);
    expect([clients[0]!.disposals, calls[0]!.context.signal.aborted]).toEqual([1, true]);
    work.resolve();
    await use;
    expect(clients[0]!.disposals).toBe(1);
  });

  it.each([
    ['get', ({ derived }: DeriveWorld) => derived.get()],
    ['current', async ({ derived }: DeriveWorld) => derived.current],
    [
      'value$',
      async ({ derived }: DeriveWorld) => {
        derived.value$.subscribe().unsubscribe();
      },
    ],
  ])('is kept for graceMs when %s handed it out', async (_how, take) => {
    const world = deriveWorld();
    const { clock, derived, save, disposed } = world;
    await save('one');
    await derived.use(() => undefined);
    await take(world);
    await save('two');
    await clock.advance(29_999);
    expect(disposed()).toEqual([]);
    await clock.advance(1);
    expect(disposed()).toEqual(['one']);
  });

  it('is kept for a use around other uses', async () => {
    const { clock, derived, save, disposed } = deriveWorld();
    await save('one');
    const names = await derived.use(async (outer) => {
      await save('two');
      return derived.use(async (inner) => {
        await save('three');
        return derived.use((innermost) => [outer.name, inner.name, innermost.name]);
      });
    });
    expect([names, disposed()]).toEqual([
      ['one', 'two', 'three'],
      ['two', 'one'],
    ]);
    await clock.settle();
  });

  it('returns or throws the result of fn, and is released in both cases', async () => {
    const { derived, save, disposed } = deriveWorld();
    await save('one');
    const thrown = new Error('mine');
    await expect(
      derived.use(() => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    await expect(derived.use(() => Promise.reject(thrown))).rejects.toBe(thrown);
    await save('two');
    expect(disposed()).toEqual(['one']);
  });

  it('reports a dispose that throws or rejects to onCallbackError, and goes on', async () => {
    const failures: (() => unknown)[] = [
      () => {
        throw new Error('thrown');
      },
      () => Promise.reject(new Error('rejected')),
    ];
    const { clock, derived, reported, save } = deriveWorld({
      derive: { dispose: () => failures.shift()?.() },
    });
    for (const token of ['one', 'two', 'three']) {
      await save(token);
      expect(await derived.use((client) => client.name)).toBe(token);
    }
    await clock.settle();
    expect(reported.map(({ error, where }) => [(error as Error).message, where])).toEqual([
      ['thrown', 'dispose of a derived value'],
      ['rejected', 'dispose of a derived value'],
    ]);
    await derived.close();
  });

  it('is only dropped without dispose, but its signal aborts', async () => {
    const { derived, calls, save } = deriveWorld({ derive: { dispose: undefined } });
    await save('one');
    await derived.use(() => undefined);
    await save('two');
    expect(calls[0]!.context.signal.aborted).toBe(true);
  });

  it('leaves no listener at a withdrawal signal that outlives it', async () => {
    const { store, derived, calls, save } = deriveWorld();
    const added: string[] = [];
    await save('one');
    await store.ready();
    const { signal } = store.current!;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      added.push(args[0]);
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      added.pop();
      removeEventListener.apply(signal, args);
    };
    await derived.use(() => undefined);
    for (let n = 0; n < 20; n += 1) await save(`token ${String(n)}`);
    expect(calls.length).toBe(21);
    // That of the value that is served, and that of what follows the credential.
    expect(added.length).toBe(2);
    await derived.close();
    expect(added.length).toBe(0);
  });
});

describe('the closing of a derived value', () => {
  it('lets running uses end, disposes of everything, and reports it', async () => {
    const { clock, derived, calls, save, disposed } = deriveWorld({
      derive: { graceMs: Infinity },
    });
    await save('one');
    const old = deferred();
    const oldUse = derived.use(() => old.promise);
    await clock.settle();
    await save('two');
    await derived.get();
    const work = deferred();
    const use = derived.use(() => work.promise);
    await clock.settle();
    const closed = outcomeOf(derived.close().then(() => 'closed'));
    await clock.advance(1_000);
    expect([closed, derived.current, derived.state, disposed()]).toEqual([
      {},
      undefined,
      { type: 'closed' },
      [],
    ]);
    expect(calls[1]!.context.signal.aborted).toBe(false);
    work.resolve();
    await use;
    expect(disposed()).toEqual(['two']);
    old.resolve();
    await oldUse;
    await clock.settle();
    expect([closed.value, disposed()]).toEqual(['closed', ['two', 'one']]);
    expect(clock.pendingTimers).toBe(0);
    await derived[Symbol.asyncDispose]();
    expect(derived.close()).toBe(derived.close());
  });

  it('waits for an async dispose, and for neither that nor uses beyond its deadline', async () => {
    const slow = deferred();
    const { clock, derived, clients, save } = deriveWorld({
      derive: {
        closeTimeoutMs: 500,
        dispose: (client) => {
          client.disposals += 1;
          return slow.promise;
        },
      },
    });
    await save('one');
    const use = derived.use(() => new Promise(() => undefined));
    void use;
    await clock.settle();
    const closed = outcomeOf(derived.close().then(() => 'closed'));
    await clock.advance(499);
    expect([closed, clients[0]!.disposals]).toEqual([{}, 0]);
    await clock.advance(1);
    expect([closed.value, clients[0]!.disposals]).toEqual(['closed', 1]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits for dispose to settle', async () => {
    const slow = deferred();
    const { clock, derived, save } = deriveWorld({ derive: { dispose: () => slow.promise } });
    await save('one');
    await derived.get();
    const closed = outcomeOf(derived.close().then(() => 'closed'));
    await clock.advance(1_000);
    expect(closed).toEqual({});
    slow.resolve();
    await clock.settle();
    expect(closed.value).toBe('closed');
  });

  it('aborts the running create, and disposes of its late result', async () => {
    const { clock, derived, calls, save, disposed } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get());
    await clock.settle();
    const closed = outcomeOf(derived.close().then(() => 'closed'));
    await clock.settle();
    expect(closed).toEqual({});
    expect(got.error).toMatchObject({ code: 'CLOSED' });
    expect(calls[0]!.context.signal.reason).toMatchObject({ code: 'CLOSED' });
    await calls[0]!.build();
    expect([closed.value, disposed(), clock.pendingTimers]).toEqual(['closed', ['one'], 0]);
  });

  it('disposes of a value that comes after its end', async () => {
    const { clock, derived, calls, save, disposed } = deriveWorld({ manual: true });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    const closed = outcomeOf(derived.close().then(() => 'closed'));
    await clock.advance(5_000);
    expect([closed.value, disposed()]).toEqual(['closed', []]);
    await calls[0]!.build();
    expect(disposed()).toEqual(['one']);
  });

  it('leaves nothing behind when create itself closes', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    const store = new MemoryCredentialStore<string>({ key: 'k', memory: memory });
    await store.save('one');
    const disposed: string[] = [];
    const derived: Derived<string> = derive(
      store,
      (token) => {
        void derived.close();
        return token;
      },
      { dispose: (value) => disposed.push(value) },
    );
    await expect(derived.get()).rejects.toMatchObject({ code: 'CLOSED' });
    await derived.close();
    await store.close();
    expect([disposed, clock.pendingTimers]).toEqual([['one'], 0]);
  });

  it('leaves no timer of a failed create', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.settle();
    expect(clock.pendingTimers).toBe(1 + 1);
    await derived.close();
    await clock.settle();
    expect([clock.pendingTimers, calls.length]).toEqual([0, 1]);
  });
});

describe('under random calls', () => {
  const step = fc.oneof(
    fc.constantFrom('one', 'two', 'three').map((token) => ({ type: 'save', token }) as const),
    fc
      .constantFrom(
        ...(['clear', 'use', 'end use', 'get', 'build', 'fail', 'cut', 'mend', 'wait'] as const),
      )
      .map((type) => ({ type }) as const),
  );

  it('every derived value is disposed of exactly once, and none is served without a credential', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const world = deriveWorld({
          manual: true,
          store: { maxStalenessMs: 1_000 },
          derive: { graceMs: 5_000, createTimeoutMs: 3_000 },
        });
        const { clock, memory, store, derived, calls, clients } = world;
        const ends: (() => void)[] = [];
        const givenDead: string[] = [];
        let built = 0;
        for (const one of steps) {
          if (one.type === 'save') memory.set('k', bytesOf(one.token), { ttlMs: HOUR });
          if (one.type === 'clear') memory.delete('k');
          if (one.type === 'cut') memory.disconnect();
          if (one.type === 'mend') memory.reconnect();
          if (one.type === 'get') void derived.get().catch(() => undefined);
          if (one.type === 'use') {
            const work = deferred();
            ends.push(work.resolve);
            void derived
              .use((client) => {
                if (client.disposals > 0) givenDead.push(client.name);
                return work.promise;
              })
              .catch(() => undefined);
          }
          if (one.type === 'end use') ends.shift()?.();
          if (one.type === 'build' && built < calls.length) void calls[built++]!.build();
          if (one.type === 'fail' && built < calls.length) calls[built++]!.reject(1);
          await (one.type === 'wait' ? clock.advance(2_000) : clock.settle());
          const { current } = derived;
          if (current !== undefined) {
            expect(store.current).toBeDefined();
            expect(current.disposals).toBe(0);
          }
          if (derived.state.type === 'ready') {
            expect(derived.current?.name).toBe(store.current?.credentials.token);
          }
        }
        const closed = derived.close();
        await clock.advance(5_000);
        await closed;
        for (const call of calls.slice(built)) void call.build();
        for (const end of ends) end();
        await clock.settle();
        expect(givenDead).toEqual([]);
        expect(clients.every(({ disposals }) => disposals === 1)).toBe(true);
        await store.close();
        await clock.settle();
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
