import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import type { ReauthenticationState } from 'credstream';

import { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';
import { type Instance, watch, World } from './world.js';

let world: World;
const uncaught: unknown[] = [];
const noted = (error: unknown): void => {
  uncaught.push(error);
};
beforeEach(() => {
  process.on('uncaughtException', noted);
  process.on('unhandledRejection', noted);
});
afterEach(async () => {
  await world.close();
  process.off('uncaughtException', noted);
  process.off('unhandledRejection', noted);
  expect(uncaught.splice(0)).toEqual([]);
});

/** How often a lease is asked for from now on, but by the instance that dies. */
function countStarts(): { count: number } {
  const starts = { count: 0 };
  const { start } = AttemptVerbs.prototype;
  const spy = vi.spyOn(AttemptVerbs.prototype, 'start').mockImplementation(function (
    this: AttemptVerbs,
    request,
  ) {
    if (request.id !== 'dead') starts.count += 1;
    if (starts.count > 50) throw new Error('asks without end');
    return start.call(this, request);
  });
  onTestFinished(() => {
    spy.mockRestore();
  });
  return starts;
}

/** Brings an instance that wants credentials into each state that it tells of. */
const ways: [ReauthenticationState['type'], (instance: Instance) => Promise<void> | void][] = [
  ['authenticating', () => undefined],
  ['waiting', () => world.startAndDie()],
  [
    'backing-off',
    async () => {
      await world.startAndDie();
      await world.attempts.end({
        key: 'k',
        id: 'dead',
        outcome: 'failed',
        number: 1,
        failures: 1,
        pauseMs: 10_000,
        endsAt: undefined,
        oauthError: undefined,
      });
    },
  ],
  [
    'backing-off',
    () => {
      world.memory.disconnect();
    },
  ],
];

describe('a listener to the states', () => {
  it.each(ways)('may ask for credentials at %s, without a further read', async (type, bring) => {
    world = new World();
    const instance = await world.instance({ timeoutMs: 20_000 });
    const starts = countStarts();
    const asked: ReturnType<typeof watch>[] = [];
    await bring(instance);
    instance.auth.state$.subscribe((state) => {
      if (state.type === type && asked.length < 50) asked.push(watch(instance.auth.credentials()));
    });
    asked.push(watch(instance.auth.credentials()));
    await world.clock.settle();
    expect(instance.auth.state.type).toBe(type);
    expect([starts.count, asked.length]).toEqual([1, 2]);
    world.memory.reconnect();
  });

  it.each(ways)('may close at %s, and nothing comes after that', async (type, bring) => {
    world = new World();
    const instance = await world.instance({ drainMs: 1_000 });
    await bring(instance);
    instance.auth.state$.subscribe((state) => {
      if (state.type === type) void instance.auth.close();
    });
    const asked = watch(instance.auth.credentials());
    await world.clock.advance(2_000);
    expect(instance.states.at(-1)).toEqual({ type: 'closed' });
    expect(asked.error).toMatchObject({ code: 'CLOSED' });
    await instance.store.close();
    const { length } = world.calls;
    expect(world.calls.every(({ request }) => request.signal.aborted)).toBe(true);
    await world.clock.advance(60_000);
    expect(world.calls).toHaveLength(length);
    world.memory.reconnect();
  });

  it('receives closed and the completion after close', async () => {
    world = new World();
    const instance = await world.instance();
    await instance.auth.close();
    const late: string[] = [];
    instance.auth.state$.subscribe({
      next: ({ type }) => late.push(type),
      complete: () => late.push('end'),
    });
    expect(late).toEqual(['closed', 'end']);
  });

  it('may close again at closed, and is refused credentials', async () => {
    world = new World();
    const instance = await world.instance();
    let emitted = 0;
    let refused: { error?: unknown } = {};
    instance.auth.state$.subscribe(({ type }) => {
      if (type !== 'closed') return;
      emitted += 1;
      if (emitted > 1) return;
      void instance.auth.close();
      refused = watch(instance.auth.credentials());
    });
    await instance.auth.close();
    await world.clock.settle();
    expect(emitted).toBe(1);
    expect(refused.error).toMatchObject({ code: 'CLOSED' });
    expect(world.clock.pendingTimers).toBe(0);
  });
});
