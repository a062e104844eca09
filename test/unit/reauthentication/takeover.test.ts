import { afterEach, describe, expect, it } from 'vitest';

import type { Backend } from '../../../src/backend/backend.js';
import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { deferred } from '../../support/wait.js';
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
afterEach(() => world.close());

const discarded: [token: string, reason: string][] = [];

async function due(instances: number, options: InstanceOptions = {}): Promise<Instance[]> {
  discarded.length = 0;
  world = new World({
    jitter: 0,
    onDiscarded: ({ token }: Token, reason) => discarded.push([token, reason]),
    ...options,
  });
  await world.put('old', HOUR);
  const made = await world.several(instances);
  await world.clock.advance(HOUR - 60_000);
  return made;
}

/** Cuts an instance off for good, as a crash would: nothing it says arrives any more, and it hears nothing. */
function kill(instance: Instance): void {
  const { backend } = internalsOf(instance.store);
  const never = (): Promise<never> => new Promise(() => undefined);
  backend.swap = never;
}

/** As a link that fails so often, and then works. */
function swapFailing(backend: Backend, failures: number): Backend['swap'] {
  const swap = backend.swap.bind(backend);
  let left = failures;
  return (request) => {
    left -= 1;
    return left < 0 ? swap(request) : Promise.reject(new Error('cut'));
  };
}

describe('a holder that dies', () => {
  it('is replaced within its lease and a little more, by one that knows of the doubt', async () => {
    const instances = await due(4);
    kill(instances[world.call(1).instance]!);
    await world.clock.advance(LEASE - 1);
    expect(world.calls).toHaveLength(1);
    await world.clock.advance(1 + SPREAD);
    const successor = world.call(2);
    expect(successor.request).toMatchObject({ attempt: 2, inDoubt: true, cause: 'expiring' });
    await world.answer(2, 'new', HOUR);
    expect(world.stored).toBe('new');
    expect(instances[successor.instance]!.auth.counts).toMatchObject({
      takeovers: 1,
      committed: 1,
    });
    await world.clock.advance(60_000);
    expect(world.calls).toHaveLength(2);
  });

  it('keeps the lease while it lives, however long it takes', async () => {
    await due(3, { attemptTimeoutMs: 600_000 });
    await world.clock.advance(300_000);
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
  });

  it('before it did anything leaves a lease that ends by itself', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    await world.startAndDie();
    const asked = watch(instance.auth.credentials({ minValidityMs: 2 * HOUR }));
    await world.clock.settle();
    expect(instance.auth.state).toMatchObject({ type: 'waiting', attempt: 1 });
    await world.clock.advance(LEASE + SPREAD);
    expect(world.call(1).request).toMatchObject({ attempt: 2, inDoubt: true });
    await world.answer(1, 'new', 3 * HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('that comes back learns that another attempt started, and stores nothing', async () => {
    const instances = await due(2);
    const first = world.call(1);
    const { backend } = internalsOf(instances[first.instance]!.store);
    // Suspended: it does not renew.
    const swap = backend.swap.bind(backend);
    backend.swap = () => Promise.reject(new Error('suspended'));
    await world.clock.advance(LEASE + SPREAD);
    const second = world.call(2);
    backend.swap = swap;
    expect(first.request.signal.aborted).toBe(false);
    await world.clock.advance(LEASE / 3);
    expect(first.request.signal.aborted).toBe(true);
    first.answer(world.token('late', HOUR));
    await world.clock.settle();
    expect(world.stored).toBe('old');
    expect(discarded).toEqual([['late', 'superseded']]);
    second.answer(world.token('new', HOUR));
    await world.clock.settle();
    expect(world.stored).toBe('new');
    expect(instances[first.instance]!.auth.state.type).toBe('idle');
  });

  it('that was paused before its call does not call when another attempt has started', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', HOUR);
    const instances = await world.several(2);
    const { backend } = internalsOf(instances[0]!.store);
    const paused = deferred();
    const observe = backend.read.bind(backend);
    backend.read = (key, maxBytes) => paused.promise.then(() => observe(key, maxBytes));
    instances[0]!.auth.reject(await instances[0]!.auth.snapshot());
    await world.clock.settle();
    const swap = backend.swap.bind(backend);
    backend.swap = swapFailing(backend, 10);
    instances[1]!.auth.reject(await instances[1]!.auth.snapshot());
    await world.clock.advance(LEASE + SPREAD);
    expect(world.call(1)).toMatchObject({ instance: 1, request: { inDoubt: true } });
    backend.swap = swap;
    paused.resolve();
    await world.clock.settle();
    expect(world.calls).toHaveLength(1);
    await world.answer(1, 'new', HOUR);
    expect(instances[0]!.auth.counts).toMatchObject({ calls: 0, needless: 1 });
  });

  it('that was paused before its call calls when no other attempt has started', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', HOUR);
    const instance = await world.instance();
    const { backend } = internalsOf(instance.store);
    const paused = deferred();
    const observe = backend.read.bind(backend);
    backend.read = (key, maxBytes) => paused.promise.then(() => observe(key, maxBytes));
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    backend.swap = swapFailing(backend, 3);
    await world.clock.advance(LEASE + 1_000);
    paused.resolve();
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
  });

  it('that comes back before another attempt started may store', async () => {
    const instances = await due(1);
    const { backend } = internalsOf(instances[0]!.store);
    const swap = backend.swap.bind(backend);
    backend.swap = () => Promise.reject(new Error('suspended'));
    await world.clock.advance(2 * LEASE - 1_000);
    backend.swap = swap;
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
  });
});

describe('an attempt without an answer', () => {
  const timing: InstanceOptions = { attemptTimeoutMs: 5_000, backOffMs: 10_000 };

  it('is abandoned at its deadline, and the next one is in doubt', async () => {
    const instances = await due(2, timing);
    const { request, instance } = world.call(1);
    await world.clock.advance(4_999);
    expect(request.signal.aborted).toBe(false);
    await world.clock.advance(1);
    expect(request.signal.aborted).toBe(true);
    expect(world.record).toMatchObject({ outcome: 'unanswered', failures: 1 });
    for (const { auth } of instances) expect(auth.state.type).toBe('backing-off');
    expect(instances[instance]!.auth.counts.unanswered).toBe(1);
    await world.clock.advance(10_000);
    expect(world.call(2).request).toMatchObject({ attempt: 2, inDoubt: true });
    await world.answer(2, 'new', HOUR);
  });

  it('leaves the doubt when the next one fails without further information', async () => {
    await due(2, timing);
    await world.clock.advance(15_000);
    await world.fail(2, new Error('provider down'));
    await world.clock.advance(20_000);
    expect(world.call(3).request.inDoubt).toBe(true);
    await world.answer(3, 'new', HOUR);
    await world.clock.advance(HOUR - 60_000);
    expect(world.call(4).request.inDoubt).toBe(false);
    await world.answer(4, 'newer', HOUR);
  });

  it('that ends late is stored if no other attempt has started', async () => {
    const instances = await due(2, timing);
    await world.clock.advance(7_000);
    await world.answer(1, 'late', HOUR);
    expect(world.stored).toBe('late');
    expect(world.record).toMatchObject({ outcome: 'committed', failures: 0 });
    for (const { auth } of instances) {
      expect(auth.state).toEqual({ type: 'idle' });
      expect(await auth.credentials()).toMatchObject({ token: 'late' });
    }
    await world.clock.advance(60_000);
    expect(world.calls).toHaveLength(1);
  });

  it('that ends after another attempt started is discarded', async () => {
    await due(2, timing);
    const [first] = world.calls;
    await world.clock.advance(15_000);
    first!.answer(world.token('late', HOUR));
    await world.clock.settle();
    expect(discarded).toEqual([['late', 'superseded']]);
    await world.answer(2, 'new', HOUR);
    expect(world.stored).toBe('new');
  });

  it('that fails late is ignored', async () => {
    const [instance] = await due(1, timing);
    await world.clock.advance(7_000);
    await world.fail(1, new Error('late'));
    expect(instance!.auth.counts).toMatchObject({ unanswered: 1, failed: 0 });
    await world.put('new', HOUR);
  });
});

describe('an unreachable memory', () => {
  it('in the middle of an attempt receives the result afterwards', async () => {
    const instances = await due(2);
    world.memory.disconnect();
    await world.answer(1, 'new', HOUR);
    await world.clock.advance(8_000);
    expect(world.stored).toBe('old');
    const holder = instances[world.call(1).instance]!;
    expect(holder.auth.state).toMatchObject({
      type: 'authenticating',
      error: { code: 'UNAVAILABLE' },
    });
    world.memory.reconnect();
    await world.clock.advance(5_000);
    expect(world.stored).toBe('new');
    expect(holder.auth.state).toEqual({ type: 'idle' });
    for (const { auth } of instances)
      expect(await auth.credentials()).toMatchObject({ token: 'new' });
    await world.clock.advance(30_000);
    expect(world.calls).toHaveLength(1);
    expect(discarded).toEqual([]);
  });

  it('is read again as soon as it is back, and waiters get the reason meanwhile', async () => {
    world = new World({ backOffMs: 100, maxBackOffMs: HOUR / 3 });
    const instance = await world.instance();
    world.memory.disconnect();
    const asked = watch(instance.auth.credentials({ timeoutMs: Infinity }));
    await world.clock.advance(20_000);
    expect(instance.auth.state).toMatchObject({
      type: 'backing-off',
      attempt: undefined,
      error: { code: 'UNAVAILABLE' },
    });
    world.memory.reconnect();
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('at the first read of an attempt costs no doubt, and not the rest of the lease', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', HOUR);
    const instances = await world.several(2);
    const { backend } = internalsOf(instances[0]!.store);
    const observe = backend.read.bind(backend);
    let failures = 1;
    backend.read = (key, maxBytes) => {
      failures -= 1;
      return failures < 0 ? observe(key, maxBytes) : Promise.reject(new Error('cut'));
    };
    instances[0]!.auth.reject(await instances[0]!.auth.snapshot());
    await world.clock.settle();
    expect(world.record).toMatchObject({ outcome: 'failed', failures: 1 });
    await world.clock.advance(1_500);
    expect(world.call(1).request).toMatchObject({ attempt: 2, inDoubt: false });
    await world.answer(1, 'new', HOUR);
  });
});
