import { hostname } from 'node:os';

import { afterEach, describe, expect, it } from 'vitest';

import { both } from '../../support/both.js';
import { HOUR, type Instance, World } from './world.js';

let world: World;
afterEach(() => world.close());

const typesOf = ({ states }: Instance): string[] => states.map(({ type }) => type);

/** Does something of which no hint tells. */
async function mute(act: () => Promise<unknown>): Promise<void> {
  const { emit } = world.memory;
  world.memory.emit = () => undefined;
  await act();
  world.memory.emit = emit;
}

describe('credentials that are about to end', () => {
  it.each([
    ['a minute by default', {}, HOUR, 60_000],
    ['leadMs', { leadMs: 5_000 }, HOUR, 5_000],
    ['leadFraction', { leadFraction: 0.25 }, HOUR, HOUR / 4],
    ['half of the lifetime at most', { leadMs: HOUR }, 10_000, 5_000],
    ['nothing', { leadMs: 0 }, 10_000, 0],
  ] as const)('are replaced before their end, by %s', async (_name, options, lifetime, lead) => {
    world = new World(options);
    await world.put('old', lifetime);
    const instance = await world.instance();
    await world.clock.advance(lifetime - lead - 1);
    expect(world.calls).toEqual([]);
    // The end itself is still valid; after it the credential is expired.
    await world.clock.advance(2);
    const { request } = world.call(1);
    expect(request).toMatchObject({
      cause: lead === 0 ? 'expired' : 'expiring',
      previous: { token: 'old' },
      attempt: 1,
      inDoubt: false,
      reason: undefined,
    });
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
    expect(instance.store.current?.credentials.token).toBe('new');
    expect(typesOf(instance)).toEqual(['idle', 'authenticating', 'idle']);
    expect(instance.auth.counts).toMatchObject({ calls: 1, committed: 1, failed: 0, needless: 0 });
  });

  it('are replaced later by up to the jitter, at random', async () => {
    world = new World({ leadMs: 60_000, jitter: 0.5 }, () => 0.5);
    await world.put('old', HOUR);
    await world.instance();
    await world.clock.advance(HOUR - 45_000 - 1);
    expect(world.calls).toEqual([]);
    await world.clock.advance(1);
    await world.answer(1, 'new', HOUR);
  });

  it('are replaced again and again, each time by its own lifetime', async () => {
    world = new World({ leadFraction: 0.5 });
    await world.put('token 0', 10_000);
    await world.instance();
    for (let n = 1; n <= 5; n += 1) {
      await world.clock.advance(5_000);
      await world.answer(n, `token ${String(n)}`, 10_000);
    }
    expect(world.stored).toBe('token 5');
    expect(world.record).toMatchObject({ number: 5, outcome: 'committed', failures: 0 });
  });

  it('are left as they are when their end has moved, and when they have none', async () => {
    world = new World({ leadMs: 1_000, store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    await world.instance();
    await world.clock.advance(8_000);
    world.memory.expire('k', HOUR);
    await world.clock.advance(10_000);
    world.memory.expire('k', undefined);
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toEqual([]);
  });

  it('are served while the new ones are fetched', async () => {
    world = new World();
    await world.put('old', HOUR);
    const { auth } = await world.instance();
    await world.clock.advance(HOUR - 60_000);
    world.call(1);
    expect(await auth.credentials()).toMatchObject({ token: 'old' });
    expect(await auth.credentials({ minValidityMs: 30_000 })).toMatchObject({ token: 'old' });
    await world.answer(1, 'new', HOUR);
    expect(await auth.credentials()).toMatchObject({ token: 'new' });
    expect(world.calls).toHaveLength(1);
  });
});

describe('several instances', () => {
  it.each([0, 0.1])('refresh once, and all have the result (jitter %d)', async (jitter) => {
    let seed = 0;
    world = new World({ jitter }, () => {
      seed = (seed + 0.37) % 1;
      return seed;
    });
    await world.put('old', HOUR);
    const instances = await world.several(6);
    await world.clock.advance(HOUR - 50_000);
    await world.answer(1, 'new', HOUR);
    for (const { store, auth } of instances) {
      expect(store.current?.credentials.token).toBe('new');
      expect(auth.state).toEqual({ type: 'idle' });
    }
    await world.clock.advance(60_000);
    expect(world.calls).toHaveLength(1);
    const all = instances.map(({ auth }) => auth.counts);
    expect(all.reduce((sum, { committed }) => sum + committed, 0)).toBe(1);
    expect(all.reduce((sum, { needless }) => sum + needless, 0)).toBe(0);
  });

  it('show the holder of the lease, and its end', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', HOUR);
    const instances = await world.several(2);
    await world.clock.advance(HOUR - 60_000);
    const holder = world.call(1).instance;
    expect(instances[holder]!.auth.state).toEqual({
      type: 'authenticating',
      attempt: 1,
      cause: 'expiring',
      since: world.clock.now(),
    });
    expect(instances[1 - holder]!.auth.state).toEqual({
      type: 'waiting',
      instance: world.record?.['instance'],
      name: `${hostname()}:${String(process.pid)}`,
      attempt: 1,
      until: world.clock.now() + 15_000,
    });
    await world.answer(1, 'new', HOUR);
  });

  it('start nothing for a caller that comes after the attempt', async () => {
    world = new World({ jitter: 0, minIntervalMs: 10 });
    await world.put('old', HOUR);
    const [first] = await world.several(1);
    const late = await world.instance({ leadMs: 30_000 });
    await world.clock.advance(HOUR - 60_000);
    // This one no longer hears of anything.
    const deaf = world.memory.put.bind(world.memory);
    world.memory.put = (key, bytes, end) => {
      deaf(key, bytes, end);
      world.memory.emit = () => undefined;
    };
    await world.answer(1, 'new', HOUR);
    expect(first!.store.current?.credentials.token).toBe('new');
    expect(late.store.current?.credentials.token).toBe('old');
    await world.clock.advance(30_000);
    expect(world.calls).toHaveLength(1);
    expect(late.auth.counts).toMatchObject({ needless: 1, calls: 0 });
    expect(late.store.current?.credentials.token).toBe('new');
    expect(late.auth.state.type).toBe('idle');
  });

  it('start nothing for the rejection of credentials that are replaced already', async () => {
    world = new World({ minIntervalMs: 10 });
    await world.put('old', HOUR);
    const instance = await world.instance();
    await mute(() => world.person.save(world.token('new', HOUR)));
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    expect(world.calls).toEqual([]);
    expect(instance.auth.counts.needless).toBe(1);
    expect(await instance.auth.credentials()).toMatchObject({ token: 'new' });
  });

  it('start nothing for an end that has moved', async () => {
    world = new World({ leadMs: 1_000, store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    const instance = await world.instance();
    await mute(() => Promise.resolve(world.memory.expire('k', HOUR)));
    await world.clock.advance(9_000);
    expect(world.calls).toEqual([]);
    expect(instance.auth.counts.needless).toBe(1);
    expect(instance.store.current?.expiresAt).toBe(world.clock.now() + HOUR - 9_000);
  });

  it('share one store, too', async () => {
    world = new World({ jitter: 0 });
    await world.put('old', HOUR);
    const { store } = await world.instance();
    const { Reauthenticator } = await import('credstream');
    const other = new Reauthenticator(store, {
      jitter: 0,
      ...both(() => Promise.reject(new Error('not this one'))),
    });
    await world.clock.advance(HOUR - 60_000);
    await world.answer(1, 'new', HOUR);
    expect(await other.credentials()).toMatchObject({ token: 'new' });
    expect(other.counts.calls).toBe(0);
  });
});
