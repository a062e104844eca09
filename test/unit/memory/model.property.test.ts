import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ConflictError, UnavailableError } from 'credstream';

import { type Model, type Real, setup, type Value } from './model.js';

type Command = fc.AsyncCommand<Model, Real>;

const STORES = 3;

/** Changes the model and the real thing; what must hold at any moment is checked after it. */
function command(name: string, act: (model: Model, real: Real) => Promise<void> | void): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await act(model, real);
      for (const witness of real.witnesses) witness.checkMemory(model);
    },
    toString: () => name,
  };
}

/** Where, relative to the instant of a write, what is written ends. */
interface Ends {
  readonly logicalMs: number | undefined;
  readonly ttlSeconds: number | 'keep' | 'none';
}

function valueOf(token: string, { logicalMs, ttlSeconds }: Ends, model: Model): Value {
  const ttlEnd =
    ttlSeconds === 'none'
      ? undefined
      : ttlSeconds === 'keep'
        ? model.value?.ttlEnd
        : model.now + ttlSeconds * 1000;
  const logical = logicalMs === undefined ? '' : `@${String(model.now + logicalMs)}`;
  return { text: `${token}${logical}`, ttlEnd };
}

async function expectUnavailable(work: Promise<unknown>): Promise<void> {
  await expect(work).rejects.toBeInstanceOf(UnavailableError);
}

function save(which: number, token: string, ends: Ends): Command {
  return command(
    `save(${String(which)}, ${token}, ${JSON.stringify(ends)})`,
    async (model, real) => {
      const { store } = real.witnesses[which]!;
      const value = valueOf(token, ends, model);
      const saving = store.save(value.text, { ttlSeconds: ends.ttlSeconds });
      if (!model.connected) return expectUnavailable(saving);
      await saving;
      model.set(value);
      // Whoever wrote sees it at once.
      real.witnesses[which]!.checkSettled(model);
      return undefined;
    },
  );
}

function saveOnlyIf(which: number, token: string): Command {
  return command(`saveOnlyIf(${String(which)}, ${token})`, async (model, real) => {
    const { store } = real.witnesses[which]!;
    const held = store.current;
    if (held === undefined) return;
    const saving = store.save(token, { onlyIf: held });
    if (!model.connected) return expectUnavailable(saving);
    if (held.credentials !== model.value?.text)
      return expect(saving).rejects.toBeInstanceOf(ConflictError);
    await saving;
    model.set({ text: token, ttlEnd: undefined });
    return undefined;
  });
}

function update(which: number): Command {
  return command(`update(${String(which)})`, async (model, real) => {
    const { store } = real.witnesses[which]!;
    const updating = store.update((found) => `${found?.split('@')[0] ?? 'new'}'`);
    if (!model.connected) return expectUnavailable(updating);
    const { value } = model;
    if (value?.text.startsWith('!'))
      return expect(updating).rejects.toMatchObject({ code: 'UNREADABLE' });
    const receipt = await updating;
    const text = `${value?.text.split('@')[0] ?? 'new'}'`;
    expect(receipt).toMatchObject({ written: true, credentials: text, attempts: 1 });
    model.set({ text, ttlEnd: undefined });
    return undefined;
  });
}

function clear(which: number): Command {
  return command(`clear(${String(which)})`, async (model, real) => {
    const clearing = real.witnesses[which]!.store.clear();
    if (!model.connected) return expectUnavailable(clearing);
    expect(await clearing).toBe(model.value !== undefined);
    model.set(undefined);
    real.witnesses[which]!.checkSettled(model);
    return undefined;
  });
}

function load(which: number): Command {
  return command(`load(${String(which)})`, async (model, real) => {
    const loading = real.witnesses[which]!.store.load();
    if (!model.connected) return expectUnavailable(loading);
    const text = model.value?.text;
    expect(await loading).toBe(text?.startsWith('!') ? undefined : text);
    return undefined;
  });
}

function set(text: string, ttlMs: number | undefined, logicalMs: number | undefined): Command {
  return command(`set(${text}, ${String(ttlMs)}, ${String(logicalMs)})`, (model, { memory }) => {
    const value = valueOf(text, { logicalMs, ttlSeconds: 'none' }, model);
    memory.set('k', value.text, ttlMs === undefined ? {} : { ttlMs });
    model.set({ ...value, ttlEnd: ttlMs === undefined ? undefined : model.now + ttlMs });
  });
}

function expire(ttlMs: number | undefined): Command {
  return command(`expire(${String(ttlMs)})`, (model, { memory }) => {
    expect(memory.expire('k', ttlMs)).toBe(model.value !== undefined);
    if (model.value === undefined) return;
    model.set({ ...model.value, ttlEnd: ttlMs === undefined ? undefined : model.now + ttlMs });
  });
}

function remove(how: 'delete' | 'evict' | 'flush'): Command {
  return command(how, (model, { memory }) => {
    if (how === 'flush') memory.flush();
    else expect(memory[how]('k')).toBe(model.value !== undefined);
    model.set(undefined);
  });
}

const disconnect = command('disconnect', (model, { memory }) => {
  if (model.connected) model.cutAt = model.now;
  model.connected = false;
  memory.disconnect();
});

const reconnect = command('reconnect', (model, { memory }) => {
  model.connected = true;
  memory.reconnect();
});

const settle = command('settle', async (model, { clock, witnesses }) => {
  await clock.settle();
  for (const witness of witnesses) witness.checkSettled(model);
});

function advance(ms: number): Command {
  return command(`advance(${String(ms)})`, async (model, { clock, witnesses }) => {
    // In a few strides, so that memory is looked at on the way, too.
    for (const part of [0.3, 0.5, 0.2]) {
      const stride = Math.round(ms * part);
      model.pass(stride);
      await clock.advance(stride);
      for (const witness of witnesses) witness.checkSettled(model);
    }
  });
}

function stepClock(ms: number): Command {
  return command(`stepClock(${String(ms)})`, async (model, { clock, witnesses }) => {
    clock.step(ms);
    for (const { store } of witnesses) expect(store.current).toBeUndefined();
    await clock.settle();
    for (const witness of witnesses) witness.checkSettled(model);
    // Cut off, nothing can be vouched for until the link is back.
    if (!model.connected) for (const { store } of witnesses) expect(store.current).toBeUndefined();
  });
}

const which = fc.nat({ max: STORES - 1 });
const token = fc.constantFrom('a', 'b', 'c');
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const ttlMs = optional(fc.integer({ min: 1, max: 3_000 }));
const logicalMs = optional(fc.integer({ min: -500, max: 3_000 }));
const ends = fc.record({
  logicalMs,
  ttlSeconds: fc.oneof(
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom('keep' as const, 'none' as const),
  ),
});
const ms = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(20_000, 40_000, 3_600_000) },
);

const commands = fc.commands(
  [
    fc.tuple(which, token, ends).map((args) => save(...args)),
    fc.tuple(which, token).map((args) => saveOnlyIf(...args)),
    which.map(update),
    which.map(clear),
    which.map(load),
    fc.tuple(token, ttlMs, logicalMs).map((args) => set(...args)),
    fc
      .tuple(fc.constantFrom('!x', '!y'), ttlMs, fc.constant(undefined))
      .map((args) => set(...args)),
    ttlMs.map(expire),
    fc.constantFrom('delete' as const, 'evict' as const, 'flush' as const).map(remove),
    fc.constant(disconnect),
    fc.constant(reconnect),
    fc.constant(reconnect),
    fc.constant(settle),
    ms.map(advance),
    ms.map(advance),
    fc.constantFrom(5_000, -86_400_000).map(stepClock),
  ],
  { maxCommands: 40 },
);

describe('stores on one memory, after any calls,', () => {
  it('show nothing of what is saved at its very end', async () => {
    const { model, real } = await setup(STORES);
    await save(0, 'a', { logicalMs: 0, ttlSeconds: 'keep' }).run(model, real);
    expect(real.witnesses.map(({ credentials }) => credentials.at(-1))).toEqual(
      Array(STORES).fill(undefined),
    );
  });

  it('behave like a map with ends, and emit some of its changes, in order', async () => {
    await fc.assert(
      fc.asyncProperty(commands, async (all) => {
        const { model, real } = await setup(STORES);
        await fc.asyncModelRun(() => ({ model, real }), all);
        await reconnect.run(model, real);
        await settle.run(model, real);
        for (const witness of real.witnesses) {
          witness.checkHistory(model);
          await witness.store.close();
        }
        await real.clock.settle();
        expect(real.clock.pendingTimers).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
