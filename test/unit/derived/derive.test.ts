import { describe, expect, it } from 'vitest';

import {
  ClosedError,
  CredentialMemory,
  derive,
  MemoryCredentialStore,
  TimeoutError,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { collect, deferred } from '../../support/wait.js';
import { bytesOf, deriveWorld, HOUR, outcomeOf } from './derive-world.js';

describe('a derived value', () => {
  it('watches and builds nothing before it is used', async () => {
    const { clock, store, derived, calls, save } = deriveWorld();
    await save('one');
    expect([derived.current, derived.state]).toEqual([
      undefined,
      { type: 'idle', waitingFor: 'use' },
    ]);
    await clock.settle();
    expect([store.status.link, calls.length]).toEqual(['idle', 0]);
  });

  it('is built once for all who ask at the same time, and kept', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    const asked = [derived.get(), derived.get(), derived.use((client) => client)];
    await clock.settle();
    expect([calls.length, derived.state]).toEqual([
      1,
      { type: 'building', attempt: 1, servesPrevious: false },
    ]);
    const client = await calls[0]!.build();
    expect(await Promise.all(asked)).toEqual([client, client, client]);
    expect(await derived.get()).toBe(client);
    expect([calls.length, derived.current]).toEqual([1, client]);
    expect(derived.state).toEqual({ type: 'ready', since: clock.now() });
    expect(derived.state).toBe(derived.state);
  });

  it('gets the credentials, their name and their end', async () => {
    const { clock, memory, derived, calls } = deriveWorld();
    memory.set('k', bytesOf('one'), { ttlMs: HOUR });
    await derived.get();
    const { token, context } = calls[0]!;
    expect([token, context.id, context.expiresAt]).toEqual(['one', 'k', clock.now() + HOUR]);
    expect(context.signal.aborted).toBe(false);
  });

  it('waits for the first observation and for a credential', async () => {
    const { clock, derived, save } = deriveWorld();
    const got = outcomeOf(derived.get());
    await clock.settle();
    expect([got, derived.state]).toEqual([{}, { type: 'idle', waitingFor: 'credential' }]);
    await save('one');
    expect(got).toMatchObject({ value: { name: 'one' } });
  });

  it('is built at once when it is eager', async () => {
    const { clock, derived, calls, save } = deriveWorld({ derive: { eager: true } });
    await save('one');
    expect([calls.length, derived.current?.name]).toEqual([1, 'one']);
    await clock.settle();
  });

  it('can be asked by its own create, also at once', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<string>({ key: 'k', memory: memory });
    await store.ready();
    await store.save('one');
    const seen: unknown[] = [];
    await using derived = derive(
      store,
      (token): string => {
        seen.push(derived.current, derived.state.type);
        void derived.get().then((value) => seen.push(value));
        void store.load().then((loaded) => seen.push(loaded));
        return `built from ${token}`;
      },
      { eager: true },
    );
    expect(await derived.get()).toBe('built from one');
    await clock.settle();
    expect(seen).toEqual([undefined, 'building', 'built from one', 'one']);
  });

  it('is not built anew when only the end of the credential moves', async () => {
    const { clock, memory, derived, calls, save, disposed } = deriveWorld();
    await save('one');
    const client = await derived.get();
    memory.expire('k', HOUR);
    await clock.settle();
    expect([derived.current, calls.length, disposed()]).toEqual([client, 1, []]);
    await clock.advance(HOUR - 1);
    expect(derived.current).toBe(client);
    await clock.advance(2);
    expect(derived.current).toBeUndefined();
  });

  it('is built anew from credentials that look the same, when those before were withdrawn', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    const options = { key: 'k', memory, abortOnSaved: true };
    await using store = new MemoryCredentialStore<string>(options);
    memory.set('k', '"one"');
    const signals: AbortSignal[] = [];
    await using derived = derive(store, (token, { signal }) => `${signals.push(signal)} ${token}`);
    expect(await derived.get()).toBe('1 one');
    memory.set('k', ' "one"');
    await clock.settle();
    expect([await derived.get(), signals.map(({ aborted }) => aborted)]).toEqual([
      '2 one',
      [true, false],
    ]);
  });

  it('stays watched until it is closed', async () => {
    const { clock, store, derived, save } = deriveWorld();
    await save('one');
    await derived.get();
    await clock.advance(HOUR);
    expect(store.status.link).toBe('live');
    await derived.close();
    expect(store.status.link).toBe('idle');
  });

  it('may be undefined', async () => {
    await using store = new MemoryCredentialStore<string>({ key: 'k' });
    await store.save('one');
    await using derived = derive<string, string | undefined>(store, () => undefined);
    expect(await derived.get()).toBeUndefined();
    expect(derived.state.type).toBe('ready');
  });
});

describe('waiting for a derived value', () => {
  it('ends at its deadline, and building goes on', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get({ timeoutMs: 50 }));
    const longer = outcomeOf(derived.get());
    await clock.advance(49);
    expect(got).toEqual({});
    await clock.advance(1);
    expect(got.error).toBeInstanceOf(TimeoutError);
    expect(got.error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 50 });
    await clock.advance(29_000);
    expect(longer).toEqual({});
    const client = await calls[0]!.build();
    expect(longer.value).toBe(client);
  });

  it('has one deadline, however often there was nearly something', async () => {
    const { clock, memory, derived, calls, save } = deriveWorld({
      manual: true,
      store: { maxStalenessMs: 0 },
      derive: { getTimeoutMs: 1_000 },
    });
    await save('one');
    // Served first, this one takes away what the other waits for.
    const used = outcomeOf(
      derived.use(() => {
        memory.disconnect();
      }),
    );
    // Looks a few promises later, because it listens to a signal.
    const { signal } = new AbortController();
    const got = outcomeOf(derived.get({ signal }));
    await clock.advance(900);
    await calls[0]!.build();
    await clock.advance(99);
    expect([used, got]).toEqual([{ value: undefined }, {}]);
    await clock.advance(1);
    expect(got.error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 1_000 });
  });

  it('ends with the reason of its signal, and leaves no timer', async () => {
    const { clock, derived } = deriveWorld();
    const controller = new AbortController();
    const got = outcomeOf(derived.get({ signal: controller.signal }));
    const used = outcomeOf(derived.use(() => 1, { signal: controller.signal }));
    await clock.settle();
    controller.abort('enough');
    await clock.settle();
    expect([got, used]).toEqual([{ error: 'enough' }, { error: 'enough' }]);
    await expect(derived.get({ signal: controller.signal })).rejects.toBe('enough');
    expect(clock.pendingTimers).toBe(0);
  });

  it('says why there is none, if the link is the reason', async () => {
    const { clock, memory, derived } = deriveWorld();
    memory.disconnect();
    const got = outcomeOf(derived.get({ timeoutMs: 10 }));
    await clock.advance(10);
    expect(got.error).toMatchObject({ code: 'TIMEOUT' });
  });

  it('ends when it is closed', async () => {
    const { clock, derived } = deriveWorld();
    const got = outcomeOf(derived.get());
    await clock.settle();
    await derived.close();
    expect(got.error).toBeInstanceOf(ClosedError);
    await expect(derived.get()).rejects.toThrow('the derived value is closed');
    await expect(derived.use(() => 1)).rejects.toBeInstanceOf(ClosedError);
    expect(clock.pendingTimers).toBe(0);
  });

  it('never ends with a value that is gone by the time it is handed out', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get());
    const used = outcomeOf(derived.use(() => 1));
    derived.value$.subscribe((client) => {
      if (client !== undefined) void derived.close();
    });
    await clock.settle();
    const client = await calls[0]!.build();
    expect([got.error, used.error]).toEqual([expect.any(ClosedError), expect.any(ClosedError)]);
    expect(client.disposals).toBe(1);
  });

  it('refuses what is no option', async () => {
    const { derived } = deriveWorld();
    const refused = (option: string) => ({ code: 'INVALID_OPTION', option });
    await expect(derived.get({ timeoutMs: 0 })).rejects.toMatchObject(refused('timeoutMs'));
    await expect(derived.get({ signal: 1 as never })).rejects.toMatchObject(refused('signal'));
    await expect(derived.get({ wait: 1 } as never)).rejects.toMatchObject(refused('wait'));
    await expect(derived.use(1 as never)).rejects.toMatchObject(refused('fn'));
  });
});

describe('the streams of a derived value', () => {
  it('tell the value and the state at once, then every new one, and end', async () => {
    const { clock, memory, derived, save } = deriveWorld();
    const states = collect(derived.state$);
    const names: (string | undefined)[] = [];
    let completed = false;
    const subscribe = () =>
      derived.value$.subscribe({
        next: (client) => names.push(client?.name),
        complete: () => (completed = true),
      });
    subscribe();
    await save('one');
    await save('two');
    memory.delete('k');
    await clock.settle();
    expect(names).toEqual([undefined, 'one', 'two', undefined]);
    expect(states.values.map(({ type }) => type)).toEqual([
      'idle',
      'idle',
      'building',
      'ready',
      'building',
      'ready',
      'idle',
    ]);
    await save('three');
    names.length = 0;
    subscribe();
    expect(names).toEqual(['three']);
    await derived.close();
    expect([names, completed, states.completed]).toEqual([
      ['three', undefined, undefined],
      true,
      true,
    ]);
    expect(states.values.at(-1)).toEqual({ type: 'closed' });
    const never = deriveWorld();
    const nothing = collect(never.derived.value$);
    await never.derived.close();
    expect([nothing.values, nothing.completed]).toEqual([[undefined], true]);
    const late = collect(derived.state$);
    expect([late.values, late.completed]).toEqual([[{ type: 'closed' }], true]);
    expect(collect(derived.value$).values).toEqual([undefined]);
  });

  it('build nothing for who looks at the state alone', async () => {
    const { clock, store, derived, calls, save } = deriveWorld();
    derived.state$.subscribe();
    await save('one');
    await clock.settle();
    expect([store.status.link, calls.length]).toEqual(['live', 0]);
  });

  it('tell everybody the same order, whatever a listener does', async () => {
    const { clock, derived, save } = deriveWorld();
    const first: string[] = [];
    const second: string[] = [];
    derived.state$.subscribe(({ type }) => {
      first.push(type);
      if (type === 'ready') void derived.close();
    });
    derived.state$.subscribe(({ type }) => second.push(type));
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    expect(first).toEqual(['idle', 'idle', 'building', 'ready', 'closed'].slice(-first.length));
    expect(second).toEqual(first);
  });
});

describe('a create that fails', () => {
  it('is called again, with pauses that grow, and the failure shows without its message', async () => {
    const { clock, derived, calls, reported, save } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get({ timeoutMs: Infinity }));
    await clock.settle();
    const secret = new Error('canary-7d10');
    calls[0]!.reject(secret);
    await clock.settle();
    expect(derived.state).toEqual({
      type: 'failed',
      reason: 'threw',
      failures: 1,
      nextAt: clock.now() + 1_000,
      servesPrevious: false,
    });
    expect(JSON.stringify(derived.state)).not.toContain('canary');
    expect(reported).toEqual([{ error: secret, where: 'create of a derived value' }]);
    const pauses: number[] = [];
    for (let failures = 1; failures <= 9; failures += 1) {
      const before = clock.now();
      while (calls.length === failures) await clock.advance(500);
      pauses.push(clock.now() - before);
      calls[failures]!.reject(undefined);
      await clock.settle();
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
    expect(got).toEqual({});
    await clock.advance(60_000);
    const client = await calls[10]!.build();
    expect([got.value, derived.current, derived.state.type]).toEqual([client, client, 'ready']);
  });

  it('is called again after pauses that chance shortens', async () => {
    const { clock, derived, calls, save } = deriveWorld({
      manual: true,
      random: () => 1,
    });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.advance(499);
    expect(calls.length).toBe(1);
    await clock.advance(1);
    expect(calls.length).toBe(2);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('canary-7d10');
      },
    ],
    [
      'throws what is no error',
      () => {
        const reason: unknown = 'canary-7d10';
        throw reason;
      },
    ],
    [
      'gives a thenable that throws',
      () => ({
        then: () => {
          throw new Error('canary-7d10');
        },
      }),
    ],
  ])('may be one that %s', async (_name, fail) => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    await using store = new MemoryCredentialStore<string>({ key: 'k', memory: memory });
    await store.save('one');
    let calls = 0;
    await using derived = derive<string, unknown>(
      store,
      () => {
        calls += 1;
        return calls === 1 ? fail() : 'built';
      },
      { onCallbackError: () => undefined },
    );
    const got = outcomeOf(derived.get());
    await clock.settle();
    expect([got, derived.state]).toMatchObject([{}, { type: 'failed', reason: 'threw' }]);
    await clock.advance(1_000);
    expect(got.value).toBe('built');
  });

  it('is given up when it does not settle, and what it gives later is disposed of', async () => {
    const { clock, derived, calls, clients, reported, save } = deriveWorld({
      manual: true,
      derive: { createTimeoutMs: 200, getTimeoutMs: Infinity },
    });
    await save('one');
    const got = outcomeOf(derived.get());
    await clock.advance(199);
    expect([derived.state.type, calls[0]!.context.signal.aborted]).toEqual(['building', false]);
    await clock.advance(1);
    expect(derived.state).toMatchObject({ type: 'failed', reason: 'timeout', failures: 1 });
    expect(reported[0]?.error).toBeInstanceOf(TimeoutError);
    expect(calls[0]!.context.signal.reason).toBe(reported[0]?.error);
    await calls[0]!.build();
    expect([got, clients[0]?.disposals, derived.current]).toEqual([{}, 1, undefined]);
    await clock.advance(1_000);
    const client = await calls[1]!.build();
    expect([got.value, client.disposals]).toEqual([client, 0]);
  });

  it('is not blamed for what it says after it was given up', async () => {
    const { clock, derived, calls, reported, save } = deriveWorld({
      manual: true,
      derive: { createTimeoutMs: 200 },
    });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.advance(200);
    calls[0]!.reject(new Error('too late'));
    await clock.settle();
    expect([derived.state, reported.length]).toMatchObject([{ failures: 1 }, 1]);
    await clock.advance(1_000);
    await save('two');
    calls[1]!.reject(calls[1]!.context.signal.reason);
    await clock.settle();
    expect([derived.state, reported.length]).toMatchObject([{ type: 'building', attempt: 1 }, 1]);
  });

  it('begins anew with a new credential', async () => {
    const { clock, derived, calls, save } = deriveWorld({ manual: true });
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.advance(1_000);
    calls[1]!.reject(1);
    await clock.settle();
    expect(derived.state).toMatchObject({ type: 'failed', failures: 2 });
    await save('two');
    expect([calls.length, derived.state]).toMatchObject([3, { type: 'building', attempt: 1 }]);
    calls[2]!.reject(1);
    await clock.settle();
    expect(derived.state).toMatchObject({ failures: 1, nextAt: clock.now() + 1_000 });
    await clock.advance(1_000);
    expect(calls.length).toBe(4);
  });

  it('warns the process without the message, unless somebody is told', async () => {
    const { clock, derived, calls, save } = deriveWorld({
      manual: true,
      derive: { onCallbackError: undefined },
    });
    const warned = deferred<Error>();
    process.once('warning', warned.resolve);
    await save('one');
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(new Error('canary-7d10'));
    const warning = await warned.promise;
    expect([warning.name, warning.message]).toEqual([
      'CredstreamWarning',
      'a function of the caller threw: create of a derived value',
    ]);
  });
});

describe('derive', () => {
  it('refuses what is no option, by name', () => {
    const store = new MemoryCredentialStore<string>({ key: 'k' });
    const refused: readonly (readonly [string, unknown])[] = [
      ['dispose', 1],
      ['eager', 1],
      ['graceMs', -1],
      ['graceMs', null],
      ['createTimeoutMs', 0],
      ['createTimeoutMs', Infinity],
      ['getTimeoutMs', 0],
      ['closeTimeoutMs', 2 ** 31],
      ['onCallbackError', 'log'],
      ['clock', {}],
      ['random', 0.5],
      ['disposed', () => undefined],
    ];
    for (const [option, value] of refused) {
      expect(() => derive(store, () => 1, { [option]: value })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option }),
      );
    }
    expect(() => derive(store, 1 as never)).toThrow(expect.objectContaining({ option: 'create' }));
    for (const none of [undefined, null, {}, { state$: {} }]) {
      expect(() => derive(none as never, () => 1)).toThrow(
        expect.objectContaining({ option: 'store' }),
      );
    }
  });
});
