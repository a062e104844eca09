import { hostname } from 'node:os';

import { afterEach, describe, expect, it } from 'vitest';

import { isCredstreamError, ReauthenticationError } from 'credstream';

import { HOUR, type InstanceOptions, type Token, watch, World } from './world.js';

let world: World;
afterEach(() => world.close());

const down = new Error('provider down');
const invalidGrant = Object.assign(new Error('refused'), { error: 'invalid_grant' });

/** Instances whose credentials have just become due. */
async function due(instances: number, options: InstanceOptions = {}, random?: () => number) {
  world = new World({ jitter: 0, ...options }, random);
  await world.put('old', HOUR);
  const made = await world.several(instances);
  await world.clock.advance(HOUR - 60_000);
  return made;
}

describe('a temporary failure', () => {
  it('delays the whole cluster, twice as long each time', async () => {
    const instances = await due(3, { backOffMs: 1_000, maxBackOffMs: 4_000, leadMs: 60_000 });
    for (const [n, pauseMs] of [1_000, 2_000, 4_000, 4_000].entries()) {
      await world.fail(n + 1, down);
      for (const { auth } of instances)
        expect(auth.state).toEqual({
          type: 'backing-off',
          attempt: n + 1,
          failures: n + 1,
          nextAt: world.clock.now() + pauseMs,
          error: undefined,
        });
      await world.clock.advance(pauseMs - 1);
      expect(world.calls).toHaveLength(n + 1);
      await world.clock.advance(1);
      expect(world.call(n + 2).request).toMatchObject({ attempt: n + 2, inDoubt: false });
    }
    await world.answer(5, 'new', HOUR);
    expect(world.record).toMatchObject({ failures: 0, outcome: 'committed' });
    for (const { auth } of instances) expect(auth.state).toEqual({ type: 'idle' });
  });

  it('delays it up to half as long at random', async () => {
    const [instance] = await due(1, { backOffMs: 10_000 }, () => 0.5);
    await world.fail(1, down);
    expect(instance!.auth.state).toMatchObject({ nextAt: world.clock.now() + 7_500 });
    await world.put('new', HOUR);
  });

  it('clears nothing, and valid credentials are still served', async () => {
    const [instance] = await due(2);
    await world.fail(1, down);
    expect(world.stored).toBe('old');
    expect(await instance!.auth.credentials()).toMatchObject({ token: 'old' });
    await world.clock.advance(70_000);
    const asked = watch(instance!.auth.credentials());
    await world.clock.settle();
    expect(asked.settled).toBe(false);
    expect(instance!.store.state.type).toBe('expired');
    await world.clock.advance(10_000);
    await world.answer(world.calls.length, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('is reported to onFailure only', async () => {
    const emitted: unknown[] = [];
    const instances = await due(2, { onFailure: (error, fatal) => emitted.push([error, fatal]) });
    await world.fail(1, down);
    await world.clock.advance(1_000);
    await world.fail(2, invalidGrant);
    expect(emitted).toEqual([
      [down, false],
      [invalidGrant, true],
    ]);
    expect(instances.flatMap(({ callbackErrors }) => callbackErrors)).toEqual([]);
    await world.put('new', HOUR);
  });

  it('may be the answer that the provider has nothing new', async () => {
    const [instance] = await due(2);
    world.call(1).answer(instance!.store.current!.credentials);
    await world.clock.settle();
    expect(world.record).toMatchObject({ outcome: 'unchanged', failures: 1 });
    expect(instance!.auth.state).toMatchObject({ type: 'backing-off', failures: 1 });
    await world.clock.advance(999);
    expect(world.calls).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.call(2).request.inDoubt).toBe(false);
    await world.answer(2, 'new', HOUR);
    const counts = world.instances.map(({ auth }) => auth.counts);
    expect(counts.reduce((sum, { unchanged }) => sum + unchanged, 0)).toBe(1);
  });

  it('is not retried sooner than minIntervalMs after the last attempt', async () => {
    await due(2, { minIntervalMs: 20_000, backOffMs: 10 });
    await world.clock.advance(5_000);
    await world.fail(1, down);
    await world.clock.advance(14_999);
    expect(world.calls).toHaveLength(1);
    await world.clock.advance(500);
    await world.answer(2, 'new', 10_000);
    await world.clock.advance(10_000);
    // A token of ten seconds is due at once after five; the next try waits.
    expect(world.calls).toHaveLength(2);
    await world.clock.advance(10_500);
    await world.answer(3, 'newer', HOUR);
  });
});

describe('an attempt that cannot read its credentials', () => {
  it('is a failure that the cluster shares, without further reads before its pause ends', async () => {
    world = new World({ backOffMs: 1_000, maxBackOffMs: 60_000 });
    await world.put('old', HOUR);
    let key = true;
    const instance = await world.instance({
      store: {
        serialize: (token) => JSON.stringify(token),
        deserialize: (bytes) => {
          if (!key) throw new Error('the key is missing');
          return JSON.parse(bytes.toString()) as Token;
        },
      },
    });
    key = false;
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.advance(3 * 60_000);
    expect(world.record).toMatchObject({ outcome: 'failed', number: 8, failures: 8 });
    expect(instance.auth.state).toMatchObject({ type: 'backing-off', failures: 8 });
    expect(world.calls).toEqual([]);
    key = true;
    await world.clock.advance(61_000);
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
  });
});

describe('a fatal failure', () => {
  it('stops all instances, also later ones, until another client saves new credentials', async () => {
    const instances = await due(2);
    await world.fail(1, invalidGrant);
    instances.push(await world.instance());
    await world.clock.advance(120_000);
    instances.push(await world.instance());
    const instance = instances[world.calls[0]!.instance]!;
    for (const { auth } of instances) {
      expect(auth.state).toEqual({
        type: 'failed',
        attempt: 1,
        instance: world.record?.['instance'],
        name: `${hostname()}:${String(process.pid)}`,
        oauthError: 'invalid_grant',
      });
      const error: unknown = await auth.credentials().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ReauthenticationError);
      expect(error).toMatchObject({
        reason: 'fatal',
        oauthError: 'invalid_grant',
        retryable: false,
      });
      expect(isCredstreamError(error)).toBe(true);
    }
    expect(instance.auth.counts).toMatchObject({ calls: 1, fatal: 1, failed: 0 });
    await world.clock.advance(HOUR / 2);
    expect(world.calls).toHaveLength(1);

    await world.put('new', 2 * HOUR);
    for (const { auth } of instances) {
      expect(auth.state).toEqual({ type: 'idle' });
      expect(await auth.credentials()).toMatchObject({ token: 'new' });
    }
    await world.clock.advance(2 * HOUR - 60_000);
    await world.answer(2, 'newer', HOUR);
    expect(world.stored).toBe('newer');
  });

  it('leaves valid credentials served', async () => {
    const [instance] = await due(1);
    await world.fail(1, invalidGrant);
    expect(await instance!.auth.credentials()).toMatchObject({ token: 'old' });
    await expect(instance!.auth.credentials({ minValidityMs: 60_001 })).rejects.toMatchObject({
      reason: 'fatal',
    });
    await world.put('new', HOUR);
  });

  it('is over for credentials without an end, too, when new ones are saved', async () => {
    world = new World();
    await world.put('old');
    const [instance, other] = await world.several(2);
    instance!.auth.reject(await instance!.auth.snapshot());
    await world.clock.settle();
    await world.fail(1, invalidGrant);
    expect(instance!.auth.state.type).toBe('failed');
    other!.auth.reject(await other!.auth.snapshot());
    await world.clock.settle();
    expect(other!.auth.state.type).toBe('failed');
    await world.put('new');
    expect([instance!.auth.state.type, other!.auth.state.type]).toEqual(['idle', 'idle']);
    other!.auth.reject(await other!.auth.snapshot());
    await world.clock.advance(1_000);
    expect(world.call(2).request).toMatchObject({ cause: 'rejected', previous: { token: 'new' } });
    await world.answer(2, 'newer');
  });

  it('stays when the bytes disappear, until new ones are saved', async () => {
    world = new World();
    world.memory.set('k', JSON.stringify(world.token('old', 10_000)), { ttlMs: 30_000 });
    const instance = await world.instance();
    await world.clock.advance(5_000);
    await world.fail(1, invalidGrant);
    await world.clock.advance(60_000);
    expect(instance.store.state.type).toBe('expired');
    const later = await world.instance();
    for (const { auth } of [instance, later])
      await expect(auth.credentials()).rejects.toMatchObject({ reason: 'fatal' });
    expect(world.calls).toHaveLength(1);
    expect(later.auth.state.type).toBe('failed');
    await world.put('new', HOUR);
    expect(later.auth.state.type).toBe('idle');
  });

  it.each(Array.from({ length: 9 }, (_, turns) => turns))(
    'of the old credentials does not affect new ones saved %d turns earlier',
    async (turns) => {
      world = new World();
      await world.put('old');
      const [failing, late] = await world.several(2);
      failing!.auth.reject(await failing!.auth.snapshot());
      await world.clock.settle();
      await world.fail(1, invalidGrant);
      const old = await late!.auth.snapshot();
      world.memory.set('k', '{"token":"new"}');
      let left = turns;
      const reject = (): void => {
        if (left === 0) late!.auth.reject(old);
        else world.clock.nextTurn(reject);
        left -= 1;
      };
      reject();
      await world.clock.settle();
      for (const { auth } of [failing!, late!]) {
        expect(auth.state.type).toBe('idle');
        expect(await auth.credentials()).toEqual({ token: 'new' });
      }
      late!.auth.reject(await late!.auth.snapshot());
      await world.clock.advance(2_000);
      await world.answer(2, 'newer');
      expect(world.stored).toBe('newer');
    },
  );

  it.each([
    [
      'throws',
      () => {
        throw down;
      },
      1,
    ],
    ['rejects', () => Promise.reject(down), 1],
    ['returns something else than true', () => 'yes', 0],
    ['resolves to true', () => Promise.resolve(true), 0],
  ])('is not assumed when isFatal %s', async (_name, isFatal, errors) => {
    const [instance] = await due(1, { isFatal: isFatal as never });
    await world.fail(1, invalidGrant);
    expect(instance!.auth.state.type).toBe('backing-off');
    expect(instance!.callbackErrors).toEqual(
      Array.from({ length: errors }, () => [down, 'isFatal']),
    );
    await world.put('new', HOUR);
  });

  it('is decided by isFatal', async () => {
    const [instance] = await due(1, { isFatal: (error) => error === down });
    await world.fail(1, invalidGrant);
    expect(instance!.auth.state.type).toBe('backing-off');
    await world.clock.advance(1_000);
    await world.fail(2, down);
    expect(instance!.auth.state).toMatchObject({
      type: 'failed',
      attempt: 2,
      oauthError: undefined,
    });
    await world.put('new', HOUR);
  });
});
