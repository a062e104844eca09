import { describe, expect, it } from 'vitest';

import {
  ClosedError,
  CredentialMemory,
  derive,
  MemoryCredentialStore,
  TimeoutError,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { collect } from '../../support/wait.js';
import { bytesOf, deriveWorld, HOUR, outcomeOf } from './derive-world.js';

describe('a derived value', () => {
  it('starts neither a watch nor a create before its first use', async () => {
    const { clock, store, derived, calls, save } = deriveWorld();
    await save('one');
    expect([derived.current, derived.state]).toEqual([
      undefined,
      { type: 'idle', waitingFor: 'use' },
    ]);
    await clock.settle();
    expect([store.status.link, calls.length]).toEqual(['idle', 0]);
  });

  it('is built once for all concurrent callers, and kept', async () => {
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

  it('receives the credentials, their name and their end', async () => {
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

  it('can be requested by its own create, also at once', async () => {
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

  it('is not built again when only the end of the credential moves', async () => {
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

  it('is built again from equal credentials when the previous ones were withdrawn', async () => {
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
  it('ends at its deadline, and create goes on', async () => {
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

  it('has one deadline, however many creates fail', async () => {
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

  it('rejects with the state of the link if the link is the reason', async () => {
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

  it('never resolves with a value that has ended', async () => {
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

  it('refuses unknown options', async () => {
    const { derived } = deriveWorld();
    const refused = (option: string) => ({ code: 'INVALID_OPTION', option });
    await expect(derived.get({ timeoutMs: 0 })).rejects.toMatchObject(refused('timeoutMs'));
    await expect(derived.get({ signal: 1 as never })).rejects.toMatchObject(refused('signal'));
    await expect(derived.get({ wait: 1 } as never)).rejects.toMatchObject(refused('wait'));
    await expect(derived.use(1 as never)).rejects.toMatchObject(refused('fn'));
  });
});

describe('the streams of a derived value', () => {
  it('emit the value and the state at once, then every new one, and complete', async () => {
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

  it('build nothing for a subscriber to the state alone', async () => {
    const { clock, store, derived, calls, save } = deriveWorld();
    derived.state$.subscribe();
    await save('one');
    await clock.settle();
    expect([store.status.link, calls.length]).toEqual(['live', 0]);
  });

  it('emit in the same order to every subscriber, whatever a listener does', async () => {
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

describe('derive', () => {
  it('refuses wrong options by name', () => {
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
