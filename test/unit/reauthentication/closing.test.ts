import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { OutcomeUnknownError, Reauthenticator, UnavailableError } from 'credstream';

import { both } from '../../support/both.js';
import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { type Deferred, deferred } from '../../support/wait.js';
import {
  HOUR,
  LEASE,
  type Instance,
  type InstanceOptions,
  SPREAD,
  type Token,
  watch,
  World,
} from './world.js';

let world: World;
let instance: Instance;
const rejections: unknown[] = [];
const noted = (reason: unknown): void => {
  rejections.push(reason);
};
beforeEach(() => process.on('unhandledRejection', noted));
afterEach(async () => {
  await world.close();
  process.off('unhandledRejection', noted);
  expect(rejections).toEqual([]);
});

const discarded: [token: string, reason: string][] = [];

/** An instance that is authenticating. */
async function busy(options: InstanceOptions = {}): Promise<void> {
  discarded.length = 0;
  world = new World({
    onDiscarded: ({ token }: Token, reason) => discarded.push([token, reason]),
    ...options,
  });
  await world.put('old', HOUR);
  instance = await world.instance();
  instance.auth.reject(await instance.auth.snapshot());
  await world.clock.settle();
  world.call(1);
}

describe('the closing of a reauthenticator', () => {
  it('at rest leaves nothing behind, and the store open', async () => {
    world = new World();
    await world.put('old', HOUR);
    instance = await world.instance();
    await instance.auth.close();
    await instance.auth[Symbol.asyncDispose]();
    expect(instance.auth.state).toEqual({ type: 'closed' });
    expect(await instance.store.load()).toMatchObject({ token: 'old' });
    expect(world.clock.pendingTimers).toBe(0);
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toEqual([]);
  });

  it('lets a running attempt finish, and stores its result', async () => {
    await busy();
    const closed = watch(instance.auth.close());
    await world.clock.advance(9_999);
    expect([closed.settled, world.call(1).request.signal.aborted]).toEqual([false, false]);
    expect(instance.auth.state.type).toBe('authenticating');
    await world.answer(1, 'new', HOUR);
    expect(closed.settled).toBe(true);
    expect(world.stored).toBe('new');
    expect(world.record).toMatchObject({ outcome: 'committed' });
    expect(discarded).toEqual([]);
  });

  it('after drainMs aborts the attempt and leaves the record, so that a successor knows of the doubt', async () => {
    await busy({ drainMs: 1_000 });
    const { request } = world.call(1);
    const closed = watch(instance.auth.close());
    await world.clock.advance(999);
    expect([closed.settled, request.signal.aborted]).toEqual([false, false]);
    await world.clock.advance(1);
    expect([closed.settled, request.signal.aborted]).toEqual([true, true]);
    expect(world.record).toMatchObject({ outcome: 'running' });
    await world.answer(1, 'late', HOUR);
    expect(world.stored).toBe('old');
    expect(discarded).toEqual([['late', 'closed']]);
    const successor = await world.instance();
    successor.auth.reject(await successor.auth.snapshot());
    await world.clock.advance(LEASE + SPREAD);
    expect(world.call(2).request.inDoubt).toBe(true);
    await world.answer(2, 'new', HOUR);
  });

  it('follows that of the store, which waits for the last commit', async () => {
    await busy();
    const other = new Reauthenticator(
      instance.store,
      both(() => ({ token: 'other' })),
    );
    const closed = watch(instance.store.close());
    await world.clock.settle();
    expect(other.state.type).toBe('closed');
    expect(closed.settled).toBe(false);
    await world.answer(1, 'new', HOUR);
    expect(closed.settled).toBe(true);
    expect(world.stored).toBe('new');
    expect(instance.auth.state.type).toBe('closed');
    expect(
      () =>
        new Reauthenticator(
          instance.store,
          both(() => ({ token: 'x' })),
        ),
    ).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });

  it('does not delay that of the store once it is complete', async () => {
    await busy({ drainMs: 1_000 });
    const closing = instance.auth.close();
    await world.clock.advance(1_000);
    await closing;
    const closed = watch(instance.store.close());
    await world.clock.settle();
    expect(closed.settled).toBe(true);
  });

  it('rejects present and later callers', async () => {
    await busy();
    const snapshot = (await world.person.read())!;
    const asked = watch(instance.auth.credentials());
    const closing = instance.auth.close();
    await world.clock.settle();
    expect(asked.error).toMatchObject({ code: 'CLOSED' });
    for (const call of [
      () => instance.auth.credentials(),
      () => instance.auth.snapshot({ minValidityMs: 5 }),
      () => instance.auth.use(() => undefined),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => instance.auth.reject(snapshot)).toThrow(
      expect.objectContaining({ code: 'CLOSED' }),
    );
    await world.answer(1, 'new', HOUR);
    await closing;
  });

  it('releases a lease that comes too late', async () => {
    world = new World();
    instance = await world.instance();
    const asked = watch(instance.auth.credentials());
    await instance.auth.close();
    expect(asked.error).toMatchObject({ code: 'CLOSED' });
    expect(world.calls).toEqual([]);
    expect(world.record).toMatchObject({ outcome: 'needless' });
  });

  it.each([
    ['waits for another holder', () => world.startAndDie('held', HOUR), undefined],
    ['backs off', () => Promise.resolve(), new Error('provider down')],
    ['has failed for good', () => Promise.resolve(), { error: 'invalid_grant' }],
  ])('leaves no timer when it %s', async (_name, before, failure) => {
    world = new World();
    instance = await world.instance();
    await before();
    const asked = watch(instance.auth.credentials());
    await world.clock.settle();
    if (failure !== undefined) await world.fail(1, failure);
    await instance.auth.close();
    await world.clock.settle();
    expect(asked.settled).toBe(true);
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('does not call the provider for an attempt that could not begin in time', async () => {
    world = new World({ drainMs: 0 });
    await world.put('old', HOUR);
    instance = await world.instance();
    const { backend } = internalsOf(instance.store);
    const observe = backend.read.bind(backend);
    const { promise: answered, resolve: answer }: Deferred<void> = deferred();
    backend.read = (key, maxBytes) => answered.then(() => observe(key, maxBytes));
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    const closed = watch(instance.auth.close());
    await world.clock.advance(0);
    expect(closed.settled).toBe(true);
    answer();
    await world.clock.settle();
    expect(world.calls).toEqual([]);
    // Whoever comes next is told to be in doubt, and needs not be.
    expect(world.record).toMatchObject({ outcome: 'running' });
  });

  it('does not discard a result when only the reply was lost', async () => {
    await busy({ drainMs: 1_000 });
    const { backend } = internalsOf(instance.store);
    const swap = backend.swap.bind(backend);
    backend.swap = async (request) => {
      const answer = await swap(request);
      if (request.change === undefined) return answer;
      throw new OutcomeUnknownError('the answer was lost');
    };
    await world.answer(1, 'new', HOUR);
    // Only the first time does it reach anything.
    backend.swap = () => Promise.reject(new UnavailableError('gone'));
    const closing = instance.auth.close();
    await world.clock.advance(1_000);
    await closing;
    expect(world.stored).toBe('new');
    expect(discarded).toEqual([['new', 'unknown']]);
  });

  it('leaves no timer when Redis cannot be read, nor the result written', async () => {
    await busy({ drainMs: 0 });
    const other = await world.instance();
    world.memory.disconnect();
    const asked = watch(other.auth.credentials({ minValidityMs: HOUR }));
    await world.answer(1, 'new', HOUR);
    const closing = Promise.all([instance.auth.close(), other.auth.close()]);
    await world.clock.advance(0);
    await closing;
    expect(asked.settled).toBe(true);
    expect(discarded).toEqual([['new', 'closed']]);
    await world.clock.advance(120_000);
    expect(world.clock.pendingTimers).toBe(0);
    world.memory.reconnect();
  });

  it('completes the states, also for late subscribers', async () => {
    await busy();
    const closing = instance.auth.close();
    await world.answer(1, 'new', HOUR);
    await closing;
    expect(instance.states.at(-1)).toEqual({ type: 'closed' });
    let completed = false;
    instance.auth.state$.subscribe({ complete: () => (completed = true) });
    expect(completed).toBe(true);
  });
});
