import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { CredentialMemory, MemoryCredentialDirectory, ReauthenticatorPool } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';
import { internalsOf } from '../../../src/stores/observable-credential-store.js';
import { HOUR, type Instance, type InstanceOptions, type Token, watch, World } from './world.js';

const WITHOUT_LOGIN = { login: undefined };
const ABSENT = { code: 'REAUTHENTICATION_FAILED', reason: 'absent', id: 'k' };

let world: World;
afterEach(() => world.close());

async function open(options: InstanceOptions = WITHOUT_LOGIN, inMs?: number): Promise<Instance> {
  world = new World(options);
  if (inMs !== undefined) await world.put('old', inMs);
  return world.instance();
}

/** Runs as soon as an instance holds the lease, before it reads the key. */
function underTheLease(instance: Instance, act: () => void): void {
  const { backend } = internalsOf(instance.store);
  const swap = backend.swap.bind(backend);
  backend.swap = async (request) => {
    const answer = await swap(request);
    if (request.change?.record?.outcome === 'running') act();
    return answer;
  };
}

describe('an absent credential without a login', () => {
  it('lets every waiting call reject at once, and no attempt begins', async () => {
    const { auth } = await open();
    const start = vi.spyOn(AttemptVerbs.prototype, 'start');
    onTestFinished(() => {
      start.mockRestore();
    });
    const asked = [
      watch(auth.credentials()),
      watch(auth.credentials({ minValidityMs: 5_000, timeoutMs: Infinity })),
      watch(auth.snapshot()),
      watch(auth.use(() => expect.unreachable())),
    ];
    await world.clock.settle();
    for (const one of asked) expect(one.error).toMatchObject(ABSENT);
    expect((asked[0]!.error as Error).message).toBe(
      'no credentials are stored, and there is no login',
    );
    await world.clock.advance(HOUR);
    expect(start).not.toHaveBeenCalled();
    expect(world.calls).toEqual([]);
    expect(world.record).toBeUndefined();
    expect(auth.counts.calls).toBe(0);
  });

  it('is not said while the link is lost, because nobody can have looked', async () => {
    const { auth } = await open();
    expect(auth.state.type).toBe('absent');
    world.memory.disconnect();
    await world.clock.settle();
    const asked = watch(auth.credentials());
    await world.clock.advance(1_000);
    expect(asked.settled).toBe(false);
    world.memory.reconnect();
    await world.put('new', HOUR);
    await world.clock.advance(1_000);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('is known to a call that came before the first reading', async () => {
    world = new World(WITHOUT_LOGIN);
    const made = world.instance();
    const asked = watch(world.instances[0]!.auth.credentials());
    const { auth, states } = await made;
    expect(asked.error).toMatchObject(ABSENT);
    expect(states.map(({ type }) => type)).toEqual(['idle', 'absent']);
    expect(auth.state).toEqual({ type: 'absent' });
  });

  it('is shown by the state until somebody saves, and everything goes on then', async () => {
    const { auth, states } = await open();
    await expect(auth.credentials()).rejects.toMatchObject(ABSENT);
    await world.put('first', HOUR);
    expect(auth.state.type).toBe('idle');
    expect(await auth.credentials()).toMatchObject({ token: 'first' });
    await world.clock.advance(HOUR - 50_000);
    expect(world.call(1).request).toMatchObject({
      cause: 'expiring',
      previous: { token: 'first' },
      reason: undefined,
    });
    await world.answer(1, 'second', HOUR);
    expect(await auth.credentials()).toMatchObject({ token: 'second' });
    const shown = states.map(({ type }) => type);
    expect(shown).toEqual(['idle', 'absent', 'idle', 'authenticating', 'idle']);
  });

  it('was there all the time for a call, if the news of a save has not come yet', async () => {
    const { auth } = await open();
    await expect(auth.credentials()).rejects.toMatchObject(ABSENT);
    const { emit } = world.memory;
    world.memory.emit = () => undefined;
    await world.person.save(world.token('saved', HOUR));
    expect(await auth.credentials()).toMatchObject({ token: 'saved' });
    world.memory.emit = emit;
  });

  it('after a logout rejects with cleared, for each instance', async () => {
    const { auth } = await open(WITHOUT_LOGIN, HOUR);
    await world.person.clear();
    await world.clock.settle();
    for (const one of [auth, (await world.instance()).auth]) {
      await expect(one.credentials()).rejects.toMatchObject({ ...ABSENT, reason: 'cleared' });
      expect(one.state.type).toBe('absent');
    }
    await world.clock.advance(2 * HOUR);
    // The tombstone is gone.
    await expect(auth.credentials()).rejects.toMatchObject(ABSENT);
    expect(world.calls).toEqual([]);
  });

  it('after a logout rejects with cleared, also when the reading takes longer than minIntervalMs', async () => {
    const { auth, store } = await open({ ...WITHOUT_LOGIN, minIntervalMs: 10 }, HOUR);
    await world.person.clear();
    await world.clock.settle();
    const { live } = internalsOf(store);
    const refreshed = vi.spyOn(live, 'refreshed');
    refreshed.mockImplementation(() => world.clock.advance(50));
    const asked = watch(auth.credentials());
    await world.clock.settle();
    await world.clock.settle();
    expect(asked.error).toMatchObject({ ...ABSENT, reason: 'cleared' });
    refreshed.mockRestore();
  });

  it('that Redis does not tell apart from a logout is absent', async () => {
    const { auth } = await open();
    const isCleared = vi.spyOn(AttemptVerbs.prototype, 'isCleared');
    isCleared.mockRejectedValue(new Error('refused'));
    onTestFinished(() => {
      isCleared.mockRestore();
    });
    await expect(auth.credentials()).rejects.toMatchObject(ABSENT);
    expect(isCleared).toHaveBeenCalledTimes(1);
  });

  it('costs one question for a logout within minIntervalMs, and one read for all calls at a time', async () => {
    const instance = await open();
    const { backend } = internalsOf(instance.store);
    const swap = vi.spyOn(backend, 'swap');
    const refreshed = vi.spyOn(internalsOf(instance.store).live, 'refreshed');
    for (let round = 1; round <= 3; round += 1) {
      const asked = Array.from({ length: 10 }, () => watch(instance.auth.credentials()));
      await world.clock.settle();
      for (const one of asked) expect(one.error).toMatchObject(ABSENT);
      // The first call begins a check, and the others share the next.
      expect(refreshed).toHaveBeenCalledTimes(2 * round);
      expect(swap).toHaveBeenCalledTimes(1);
    }
  });

  it.each([
    ['deleted', () => world.memory.delete('k')],
    ['evicted', () => world.memory.evict('k')],
    ['flushed', () => world.memory.flush()],
  ])('that was %s rejects the calls that waited for better ones', async (_how, lose) => {
    const { auth } = await open({ ...WITHOUT_LOGIN, backOffMs: 60_000 }, HOUR);
    const asked = watch(auth.credentials({ minValidityMs: 2 * HOUR, timeoutMs: HOUR }));
    await world.clock.settle();
    await world.fail(1, new Error('provider down'));
    expect(auth.state.type).toBe('backing-off');
    lose();
    await world.clock.settle();
    expect(asked.error).toMatchObject(ABSENT);
    expect(auth.state.type).toBe('absent');
  });

  it('whose bytes the TTL removed after their end is absent', async () => {
    world = new World({ ...WITHOUT_LOGIN, leadMs: 0, store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    const { auth, store } = await world.instance();
    await world.clock.advance(11_000);
    expect(store.state.type).toBe('expired');
    expect(auth.state.type).toBe('absent');
    await expect(auth.credentials()).rejects.toMatchObject(ABSENT);
    expect(world.calls).toEqual([]);
  });

  it('that is lost during an attempt of this instance is stored by it', async () => {
    const { auth } = await open(WITHOUT_LOGIN, HOUR);
    auth.reject(await auth.snapshot());
    await world.clock.settle();
    world.memory.evict('k');
    const asked = watch(auth.credentials());
    await world.clock.settle();
    expect(asked.settled).toBe(false);
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('is no answer while this instance cannot vouch for it', async () => {
    const { auth, store } = await open();
    world.memory.disconnect();
    await world.clock.advance(60_000);
    expect(store.state.type).toBe('withheld');
    const asked = watch(auth.credentials({ timeoutMs: HOUR }));
    await world.clock.settle();
    expect(asked.settled).toBe(false);
    world.memory.reconnect();
    await world.clock.settle();
    expect(asked.error).toMatchObject(ABSENT);
  });
});

describe('a credential that vanishes between the decision and the reading under the lease', () => {
  it('is not refreshed, and absent without a login', async () => {
    const instance = await open(WITHOUT_LOGIN, HOUR);
    underTheLease(instance, () => world.memory.drop('k'));
    const asked = watch(instance.auth.credentials({ minValidityMs: 2 * HOUR }));
    await world.clock.settle();
    expect(instance.auth.counts).toMatchObject({ calls: 0, needless: 1 });
    expect(asked.error).toMatchObject(ABSENT);
    expect(world.record).toMatchObject({ outcome: 'needless' });
  });

  it('leads to a login where there is one, because a call waits', async () => {
    const instance = await open({}, HOUR);
    let isFirst = true;
    underTheLease(instance, () => {
      if (isFirst) world.memory.drop('k');
      isFirst = false;
    });
    instance.auth.reject(instance.store.current!);
    const asked = watch(instance.auth.credentials());
    await world.clock.advance(2_000);
    expect(world.call(1).request.cause).toBe('absent');
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });
});

it('a credential of a pool is absent by its id, also while it waits for a permit', async () => {
  world = new World();
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const directory = new MemoryCredentialDirectory<Token>({ prefix: 'app:', memory });
  const ids: string[] = [];
  const pool = new ReauthenticatorPool(directory, {
    concurrency: 1,
    attemptTimeoutMs: HOUR / 2,
    refresh: (_request, id) => {
      ids.push(id);
      return new Promise(() => undefined);
    },
  });
  await using hanging = directory.store('hanging');
  await using queued = directory.store('queued');
  for (const store of [hanging, queued]) await store.save({ token: 'old' });
  for (const id of ['hanging', 'queued']) pool.reject(id, await pool.snapshot(id));
  const asked = watch(pool.credentials('queued'));
  const never = watch(pool.credentials('never'));
  await clock.settle();
  expect(never.error).toMatchObject({ ...ABSENT, id: 'never' });
  expect(asked.settled).toBe(false);
  await queued.clear();
  await clock.settle();
  expect(asked.error).toMatchObject({ ...ABSENT, reason: 'cleared', id: 'queued' });
  memory.delete('credstream:cleared:app:queued');
  await clock.advance(1_500);
  await expect(pool.credentials('queued')).rejects.toMatchObject({ ...ABSENT, id: 'queued' });
  expect(ids).toEqual(['hanging']);
  const closing = directory.close();
  await clock.advance(20_000);
  await closing;
});
