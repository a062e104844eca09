import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { OutcomeUnknownError, Reauthenticator, UnavailableError } from 'credstream';

import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { type Deferred, deferred } from '../../support/wait.js';
import {
  HOUR,
  LEASE,
  type Node,
  type NodeOptions,
  SPREAD,
  type Token,
  watch,
  World,
} from './world.js';

let world: World;
let node: Node;
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

/** A node that is authenticating. */
async function busy(options: NodeOptions = {}): Promise<void> {
  discarded.length = 0;
  world = new World({
    onDiscarded: ({ token }: Token, reason) => discarded.push([token, reason]),
    ...options,
  });
  await world.put('old', HOUR);
  node = await world.node();
  node.auth.reject(await node.auth.snapshot());
  await world.clock.settle();
  world.call(1);
}

describe('the closing of a reauthenticator', () => {
  it('at rest leaves nothing behind, and the store open', async () => {
    world = new World();
    await world.put('old', HOUR);
    node = await world.node();
    await node.auth.close();
    await node.auth[Symbol.asyncDispose]();
    expect(node.auth.state).toEqual({ type: 'closed' });
    expect(await node.store.load()).toMatchObject({ token: 'old' });
    expect(world.clock.pendingTimers).toBe(0);
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toEqual([]);
  });

  it('lets a running attempt finish, and stores its result', async () => {
    await busy();
    const closed = watch(node.auth.close());
    await world.clock.advance(9_999);
    expect([closed.settled, world.call(1).request.signal.aborted]).toEqual([false, false]);
    expect(node.auth.state.type).toBe('authenticating');
    await world.answer(1, 'new', HOUR);
    expect(closed.settled).toBe(true);
    expect(world.stored).toBe('new');
    expect(world.record).toMatchObject({ outcome: 'committed' });
    expect(discarded).toEqual([]);
  });

  it('after drainMs aborts the attempt and leaves the record, so that a successor knows of the doubt', async () => {
    await busy({ drainMs: 1_000 });
    const { request } = world.call(1);
    const closed = watch(node.auth.close());
    await world.clock.advance(999);
    expect([closed.settled, request.signal.aborted]).toEqual([false, false]);
    await world.clock.advance(1);
    expect([closed.settled, request.signal.aborted]).toEqual([true, true]);
    expect(world.record).toMatchObject({ outcome: 'running' });
    await world.answer(1, 'late', HOUR);
    expect(world.stored).toBe('old');
    expect(discarded).toEqual([['late', 'closed']]);
    const successor = await world.node();
    successor.auth.reject(await successor.auth.snapshot());
    await world.clock.advance(LEASE + SPREAD);
    expect(world.call(2).request.inDoubt).toBe(true);
    await world.answer(2, 'new', HOUR);
  });

  it('follows that of the store, which waits for the last commit', async () => {
    await busy();
    const other = new Reauthenticator(node.store, { authenticate: () => ({ token: 'other' }) });
    const closed = watch(node.store.close());
    await world.clock.settle();
    expect(other.state.type).toBe('closed');
    expect(closed.settled).toBe(false);
    await world.answer(1, 'new', HOUR);
    expect(closed.settled).toBe(true);
    expect(world.stored).toBe('new');
    expect(node.auth.state.type).toBe('closed');
    expect(() => new Reauthenticator(node.store, { authenticate: () => ({ token: 'x' }) })).toThrow(
      expect.objectContaining({ code: 'CLOSED' }),
    );
  });

  it('does not delay that of the store once it is complete', async () => {
    await busy({ drainMs: 1_000 });
    const closing = node.auth.close();
    await world.clock.advance(1_000);
    await closing;
    const closed = watch(node.store.close());
    await world.clock.settle();
    expect(closed.settled).toBe(true);
  });

  it('rejects present and later callers', async () => {
    await busy();
    const snapshot = (await world.person.read())!;
    const asked = watch(node.auth.credentials());
    const closing = node.auth.close();
    await world.clock.settle();
    expect(asked.error).toMatchObject({ code: 'CLOSED' });
    for (const call of [
      () => node.auth.credentials(),
      () => node.auth.snapshot({ minValidityMs: 5 }),
      () => node.auth.use(() => undefined),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => node.auth.reject(snapshot)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    await world.answer(1, 'new', HOUR);
    await closing;
  });

  it('releases a lease that comes too late', async () => {
    world = new World();
    node = await world.node();
    const asked = watch(node.auth.credentials());
    await node.auth.close();
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
    node = await world.node();
    await before();
    const asked = watch(node.auth.credentials());
    await world.clock.settle();
    if (failure !== undefined) await world.fail(1, failure);
    await node.auth.close();
    await world.clock.settle();
    expect(asked.settled).toBe(true);
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('does not call the provider for an attempt that could not begin in time', async () => {
    world = new World({ drainMs: 0 });
    await world.put('old', HOUR);
    node = await world.node();
    const { backend } = internalsOf(node.store);
    const observe = backend.read.bind(backend);
    const { promise: answered, resolve: answer }: Deferred<void> = deferred();
    backend.read = (key, maxBytes) => answered.then(() => observe(key, maxBytes));
    node.auth.reject(await node.auth.snapshot());
    await world.clock.settle();
    const closed = watch(node.auth.close());
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
    const { backend } = internalsOf(node.store);
    const swap = backend.swap.bind(backend);
    backend.swap = async (request) => {
      const answer = await swap(request);
      if (request.change === undefined) return answer;
      throw new OutcomeUnknownError('the answer was lost');
    };
    await world.answer(1, 'new', HOUR);
    // Only the first time does it reach anything.
    backend.swap = () => Promise.reject(new UnavailableError('gone'));
    const closing = node.auth.close();
    await world.clock.advance(1_000);
    await closing;
    expect(world.stored).toBe('new');
    expect(discarded).toEqual([['new', 'unknown']]);
  });

  it('leaves no timer when Redis cannot be read, nor the result written', async () => {
    await busy({ drainMs: 0 });
    const other = await world.node();
    world.memory.disconnect();
    const asked = watch(other.auth.credentials({ minValidityMs: HOUR }));
    await world.answer(1, 'new', HOUR);
    const closing = Promise.all([node.auth.close(), other.auth.close()]);
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
    const closing = node.auth.close();
    await world.answer(1, 'new', HOUR);
    await closing;
    expect(node.states.at(-1)).toEqual({ type: 'closed' });
    let completed = false;
    node.auth.state$.subscribe({ complete: () => (completed = true) });
    expect(completed).toBe(true);
  });
});
