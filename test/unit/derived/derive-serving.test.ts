import { describe, expect, it } from 'vitest';

import { bytesOf, deriveWorld, HOUR, outcomeOf } from './derive-world.js';

describe('a derived value is never served', () => {
  it.each(['cleared', 'evicted', 'unreadable', 'expired'] as const)(
    'once its credential is %s, and its signal says so',
    async (how) => {
      const { clock, memory, derived, calls, clients } = deriveWorld();
      memory.set('k', bytesOf('one'), { ttlMs: HOUR });
      await derived.get();
      const names: (string | undefined)[] = [];
      derived.value$.subscribe((client) => names.push(client?.name));
      if (how === 'cleared') memory.delete('k');
      if (how === 'evicted') memory.evict('k');
      if (how === 'unreadable') memory.set('k', 'no JSON');
      await (how === 'expired' ? clock.advance(HOUR + 1) : clock.settle());
      expect([derived.current, derived.state]).toEqual([
        undefined,
        { type: 'idle', waitingFor: 'credential' },
      ]);
      expect(names).toEqual(['one', undefined]);
      expect(calls[0]!.context.signal.reason).toMatchObject({ change: { type: how } });
      const got = outcomeOf(derived.get({ timeoutMs: 1_000 }));
      await clock.advance(1_000);
      expect(got.error).toMatchObject({ code: 'TIMEOUT' });
      // It was handed out, so whoever has it may use it a while longer.
      await clock.advance(28_900);
      expect(clients[0]!.disposals).toBe(0);
      await clock.advance(200);
      expect(clients[0]!.disposals).toBe(1);
    },
  );

  it('past the end of its credential, however late timers are', async () => {
    const { clock, memory, derived, calls } = deriveWorld();
    memory.set('k', bytesOf('one'), { ttlMs: HOUR });
    const first = await derived.get();
    const states: string[] = [];
    derived.state$.subscribe(({ type }) => states.push(type));
    // The machine sleeps: no timer fires, and only the wall clock knows.
    clock.sleep(2 * HOUR);
    expect([derived.current, derived.state.type, states]).toEqual([undefined, 'idle', ['ready']]);
    const got = outcomeOf(derived.get());
    await clock.settle();
    // The memory slept too: the credential is still good, and so is what was built from it.
    expect([got.value, derived.current, calls.length]).toEqual([first, first, 1]);
  });

  it('to a create that was to be retried after the end of its credential', async () => {
    const { clock, memory, derived, calls } = deriveWorld({ manual: true });
    memory.set('k', bytesOf('one'), { ttlMs: 500 });
    void derived.get().catch(() => undefined);
    await clock.settle();
    calls[0]!.reject(1);
    await clock.advance(HOUR);
    expect([calls.length, derived.state.type]).toEqual([1, 'idle']);
  });

  it('when create took until the credential had ended', async () => {
    const { clock, memory, derived, calls } = deriveWorld({ manual: true });
    memory.set('k', bytesOf('one'), { ttlMs: 500 });
    const got = outcomeOf(derived.get());
    await clock.advance(501);
    expect(calls[0]!.context.signal.aborted).toBe(true);
    const client = await calls[0]!.build();
    expect([got, derived.current, client.disposals]).toEqual([{}, undefined, 1]);
  });

  it('while the clock is in doubt, and is served again afterwards', async () => {
    const { clock, derived, save } = deriveWorld();
    await save('one');
    const client = await derived.get();
    clock.step(HOUR);
    const got = outcomeOf(derived.get());
    clock.step(-HOUR);
    await clock.settle();
    await clock.advance(1_000);
    expect([got.value, derived.current]).toEqual([client, client]);
  });
});

describe('a derived value is served again', () => {
  it('as soon as the credential is confirmed again, without a change and without a timer', async () => {
    const { clock, memory, derived, save } = deriveWorld();
    await save('one');
    const client = await derived.get();
    memory.disconnect();
    clock.step(HOUR);
    const got = outcomeOf(derived.get());
    await clock.settle();
    expect([got, derived.current]).toEqual([{}, undefined]);
    memory.reconnect();
    await clock.settle();
    expect([got.value, derived.current]).toEqual([client, client]);
  });
});

describe('a derived value while the credential is withheld', () => {
  const withheld = { store: { maxStalenessMs: 1_000 }, derive: { graceMs: 0 } };

  it('is neither served nor disposed of, and comes back as the same value', async () => {
    const { clock, memory, derived, calls, save, disposed } = deriveWorld(withheld);
    await save('one');
    const client = await derived.get();
    const names: (string | undefined)[] = [];
    derived.value$.subscribe((one) => names.push(one?.name));
    const since = clock.now();
    memory.disconnect();
    await clock.advance(999);
    expect(derived.current).toBe(client);
    await clock.advance(1);
    expect([derived.current, derived.state]).toEqual([
      undefined,
      { type: 'idle', waitingFor: 'credential' },
    ]);
    const got = outcomeOf(derived.get());
    await clock.advance(10_000);
    expect([got, disposed(), calls[0]!.context.signal.aborted]).toEqual([{}, [], false]);
    memory.reconnect();
    await clock.settle();
    expect([got.value, derived.current, calls.length]).toEqual([client, client, 1]);
    expect([derived.state, names]).toEqual([{ type: 'ready', since }, ['one', undefined, 'one']]);
  });

  it('is not built, and a failed create is called again afterwards', async () => {
    const { clock, memory, derived, calls, save } = deriveWorld({ ...withheld, manual: true });
    await save('one');
    const got = outcomeOf(derived.get({ timeoutMs: Infinity }));
    await clock.settle();
    calls[0]!.reject(1);
    memory.disconnect();
    await clock.advance(HOUR);
    expect([calls.length, derived.state.type]).toEqual([1, 'idle']);
    memory.reconnect();
    await clock.settle();
    expect([calls.length, derived.state]).toMatchObject([2, { type: 'building', attempt: 2 }]);
    const client = await calls[1]!.build();
    expect(got.value).toBe(client);
  });

  it('is served afterwards when it was ready meanwhile', async () => {
    const { clock, memory, derived, calls, save } = deriveWorld({ ...withheld, manual: true });
    await save('one');
    const got = outcomeOf(derived.get());
    await clock.settle();
    memory.disconnect();
    await clock.advance(1_000);
    const client = await calls[0]!.build();
    expect([got, derived.current, client.disposals]).toEqual([{}, undefined, 0]);
    memory.reconnect();
    await clock.settle();
    expect([got.value, calls.length]).toEqual([client, 1]);
  });

  it('ends with an end that passes', async () => {
    const { clock, memory, derived, clients } = deriveWorld(withheld);
    memory.set('k', bytesOf('one'), { ttlMs: 10_000 });
    await derived.get();
    memory.disconnect();
    await clock.advance(9_999);
    expect(clients[0]!.disposals).toBe(0);
    await clock.advance(2);
    expect(clients[0]!.disposals).toBe(1);
    memory.reconnect();
    await clock.settle();
    expect(derived.current).toBeUndefined();
  });
});

describe('a derived value after a rotation', () => {
  it('is the old one until the new one is ready', async () => {
    const { clock, derived, calls, save, disposed } = deriveWorld({ manual: true });
    await save('one');
    const first = derived.get();
    await clock.settle();
    const one = await calls[0]!.build();
    await first;
    const names: (string | undefined)[] = [];
    derived.value$.subscribe((client) => names.push(client?.name));
    await save('two');
    expect([await derived.get(), derived.current, names]).toEqual([one, one, ['one']]);
    expect(derived.state).toEqual({ type: 'building', attempt: 1, servesPrevious: true });
    calls[1]!.reject(1);
    await clock.settle();
    expect([derived.state, derived.current]).toMatchObject([
      { type: 'failed', servesPrevious: true },
      one,
    ]);
    await clock.advance(1_000);
    const two = await calls[2]!.build();
    expect([derived.current, await derived.get(), names]).toEqual([two, two, ['one', 'two']]);
    expect(disposed()).toEqual([]);
    await clock.advance(30_000);
    expect(disposed()).toEqual(['one']);
  });

  it('is built again without another call', async () => {
    const { derived, calls, save } = deriveWorld();
    await save('one');
    await derived.get();
    await save('two');
    expect([calls.length, derived.current?.name]).toEqual([2, 'two']);
  });

  it('is not the old one past its own end, also when the new one is not ready', async () => {
    const { clock, memory, derived, calls } = deriveWorld({ manual: true });
    memory.set('k', bytesOf('one'), { ttlMs: 60_000 });
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    const names: (string | undefined)[] = [];
    derived.value$.subscribe((client) => names.push(client?.name));
    memory.set('k', bytesOf('two'), { ttlMs: HOUR });
    await clock.advance(50_000);
    expect([names, derived.current?.name]).toEqual([['one'], 'one']);
    await clock.advance(9_998);
    expect([names, derived.current?.name]).toEqual([['one'], 'one']);
    await clock.advance(2);
    expect([names, derived.current]).toEqual([['one', undefined], undefined]);
    expect(derived.state).toMatchObject({ type: 'building', servesPrevious: false });
  });

  it('is the old one until the last known end of its credential', async () => {
    const { clock, memory, derived, calls } = deriveWorld({ manual: true });
    memory.set('k', bytesOf('one'), { ttlMs: 60_000 });
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    memory.expire('k', 120_000);
    await clock.settle();
    memory.set('k', bytesOf('two'), { ttlMs: HOUR });
    await clock.advance(100_000);
    expect(derived.current?.name).toBe('one');
    await clock.advance(20_000);
    expect(derived.current).toBeUndefined();
  });

  it('is not the old one past its own end, also when this machine slept meanwhile', async () => {
    const { clock, memory, derived, calls } = deriveWorld({
      manual: true,
      derive: { createTimeoutMs: HOUR },
    });
    memory.set('k', bytesOf('one'), { ttlMs: 60_000 });
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    memory.set('k', bytesOf('two'), { ttlMs: HOUR });
    await clock.settle();
    expect(derived.current?.name).toBe('one');
    clock.sleep(59_000);
    expect(derived.current).toBeUndefined();
    // The store reads again. The memory slept too: by its clock the old credential has most of its time left, and no more than that.
    await clock.settle();
    expect(derived.current?.name).toBe('one');
    await clock.advance(60_001);
    expect(derived.current).toBeUndefined();
    await calls[1]!.build();
    expect(derived.current?.name).toBe('two');
  });

  it('is not the old one where the newer credential withdraws the one before', async () => {
    const { clock, derived, calls, save, disposed } = deriveWorld({
      manual: true,
      store: { abortOnSaved: true },
      derive: { graceMs: 0 },
    });
    await save('one');
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    const names: (string | undefined)[] = [];
    derived.value$.subscribe((client) => names.push(client?.name));
    await save('two');
    expect([derived.current, disposed(), names]).toEqual([undefined, ['one'], ['one', undefined]]);
    expect(derived.state).toMatchObject({ type: 'building', servesPrevious: false });
    expect(calls[0]!.context.signal.reason).toMatchObject({ change: { type: 'saved' } });
  });

  it('aborts the running create for the old credential, and disposes of its result', async () => {
    const { clock, derived, calls, clients, save } = deriveWorld({ manual: true });
    await save('one');
    const got = outcomeOf(derived.get());
    await clock.settle();
    await save('two');
    expect([calls[0]!.context.signal.aborted, calls[1]!.context.signal.aborted]).toEqual([
      true,
      false,
    ]);
    await calls[0]!.build();
    expect([got, clients[0]!.disposals]).toEqual([{}, 1]);
    const two = await calls[1]!.build();
    expect([got.value, two.disposals]).toEqual([two, 0]);
    // Its deadline went with it.
    await clock.advance(HOUR);
    expect(derived.current).toBe(two);
  });

  it('is the only existing one after two rotations during create', async () => {
    const { clock, derived, calls, clients, save, disposed } = deriveWorld({
      manual: true,
      derive: { graceMs: 0 },
    });
    await save('one');
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    await save('two');
    await save('three');
    expect([derived.current?.name, disposed()]).toEqual(['one', []]);
    await calls[1]!.build();
    expect([derived.current?.name, disposed()]).toEqual(['one', ['two']]);
    await calls[2]!.build();
    expect([derived.current?.name, disposed()]).toEqual(['three', ['two', 'one']]);
    expect(clients.map(({ disposals }) => disposals)).toEqual([1, 1, 0]);
  });

  it('is neither the old nor the new one after a clear', async () => {
    const { clock, memory, derived, calls, save, disposed } = deriveWorld({
      manual: true,
      derive: { graceMs: 0 },
    });
    await save('one');
    const first = derived.get();
    await clock.settle();
    await calls[0]!.build();
    await first;
    await save('two');
    memory.delete('k');
    await clock.settle();
    expect([derived.current, disposed()]).toEqual([undefined, ['one']]);
    await calls[1]!.build();
    expect([derived.current, disposed()]).toEqual([undefined, ['one', 'two']]);
  });
});
