import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { AttemptVerbs } from '../../../src/backend/attempt-verbs.js';

import { HOUR, type Instance, type InstanceOptions, watch, World } from './world.js';

let world: World;
let instance: Instance;
afterEach(() => world.close());

async function open(options: InstanceOptions = {}, inMs: number | undefined = HOUR) {
  world = new World(options);
  await world.put('old', inMs);
  instance = await world.instance();
}

/** Each leaves a tombstone, which no re-authentication undoes. */
const clears = [
  ['a store on another instance', () => world.person.clear()],
  ['a store on this instance', () => instance.store.clear()],
] as const;

/** Removals by other means are no logout, whatever the hints call them. */
const removals = [
  ['deleted by another client', () => world.memory.delete('k')],
  [
    'deleted without a hint',
    () => {
      world.memory.drop('k');
      world.memory.disconnect();
      world.memory.reconnect();
    },
  ],
  ['evicted', () => world.memory.evict('k')],
  ['flushed', () => world.memory.flush()],
] as const;

describe('a credential that was cleared', () => {
  it.each(clears)('by %s stays cleared', async (_who, clear) => {
    await open();
    await clear();
    await world.clock.settle();
    await expect(instance.auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toEqual([]);
    await world.put('new', HOUR);
    expect(await instance.auth.credentials()).toMatchObject({ token: 'new' });
  });

  it('stays cleared for an instance that starts afterwards', async () => {
    await open();
    await world.person.clear();
    const later = await world.instance();
    await expect(later.auth.credentials()).rejects.toMatchObject({
      code: 'REAUTHENTICATION_FAILED',
      reason: 'cleared',
    });
    expect(world.calls).toEqual([]);
    expect(later.auth.state.type).toBe('idle');
  });

  it('stays cleared also without a hint of the clear', async () => {
    await open();
    const { emit } = world.memory;
    world.memory.emit = () => undefined;
    await world.person.clear();
    world.memory.emit = emit;
    world.memory.disconnect();
    world.memory.reconnect();
    await world.clock.settle();
    expect(instance.store.state.type).toBe('absent');
    await expect(instance.auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    expect(world.calls).toEqual([]);
  });

  it.each(clears)('by %s while new ones are fetched stays cleared', async (_who, clear) => {
    const discarded: unknown[] = [];
    await open({ onDiscarded: (credentials, reason) => discarded.push([credentials, reason]) });
    const asked = watch(instance.auth.credentials({ minValidityMs: 2 * HOUR }));
    await world.clock.settle();
    await clear();
    await world.clock.settle();
    expect(asked.error).toMatchObject({ reason: 'cleared' });
    const brought = world.token('new', HOUR);
    world.call(1).answer(brought);
    await world.clock.settle();
    expect(world.stored).toBeUndefined();
    expect(discarded).toEqual([[brought, 'cleared']]);
    expect(instance.auth.counts).toMatchObject({ discarded: 1, committed: 0 });
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toHaveLength(1);
  });

  it.each(clears)(
    'by %s while a waiter waits for another attempt stays cleared',
    async (_who, clear) => {
      await open({}, 120_000);
      await world.clock.advance(60_000);
      await world.fail(1, new Error('provider down'));
      const asked = watch(instance.auth.credentials({ minValidityMs: HOUR }));
      await clear();
      await world.clock.settle();
      expect(asked.error).toMatchObject({ reason: 'cleared' });
      await world.clock.advance(HOUR);
      expect(world.calls).toHaveLength(1);
    },
  );

  it('in the turn in which it is due stays cleared', async () => {
    await open({}, 120_000);
    const asked = watch(instance.auth.credentials({ minValidityMs: HOUR }));
    void world.person.clear();
    await world.clock.settle();
    // An attempt from before the clear may bring something, and no other attempt starts.
    for (const call of world.calls) call.answer(world.token('new', 2 * HOUR));
    await world.clock.settle();
    expect(world.stored).toBeUndefined();
    expect(asked.error).toMatchObject({ reason: 'cleared' });
  });

  it("leads to a login with whenCleared 'login', on demand only", async () => {
    await open({ whenCleared: 'login' });
    await world.person.clear();
    await world.clock.advance(HOUR);
    expect(world.calls).toEqual([]);
    const asked = watch(instance.auth.credentials());
    await world.clock.settle();
    expect(world.call(1).request).toMatchObject({ cause: 'cleared' });
    expect(world.call(1).request).not.toHaveProperty('previous');
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
    const later = await world.instance();
    await world.person.clear();
    await world.clock.settle();
    const askedLater = watch(later.auth.credentials());
    await world.clock.advance(1_000);
    await world.answer(2, 'newer', HOUR);
    expect(askedLater.value).toMatchObject({ token: 'newer' });
  });

  it('and saved again with the very same bytes is present again', async () => {
    await open();
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    await world.fail(1, { error: 'invalid_grant' });
    await world.person.clear();
    await world.clock.settle();
    await world.put('old', HOUR);
    expect(await instance.auth.credentials()).toMatchObject({ token: 'old' });
    expect(instance.auth.state.type).toBe('idle');
  });
});

describe('an absent credential', () => {
  it('is fetched on demand only', async () => {
    world = new World();
    instance = await world.instance();
    await world.clock.advance(HOUR);
    expect(world.calls).toEqual([]);
    const asked = watch(instance.auth.credentials());
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it.each(removals)('that was %s was not logged out', async (_how, lose) => {
    await open();
    lose();
    await world.clock.advance(HOUR / 2);
    expect(world.calls).toEqual([]);
    const later = await world.instance();
    const asked = [instance, later].map(({ auth }) => watch(auth.credentials()));
    await world.clock.settle();
    expect(world.call(1).request.cause).toBe('absent');
    await world.answer(1, 'new', HOUR);
    for (const one of asked) expect(one.value).toMatchObject({ token: 'new' });
  });

  it.each([
    ...removals.map(([how, lose]) => [how, lose, 0] as const),
    ['flushed and the lease was renewed', () => world.memory.flush(), 12_000],
    ['deleted and the lease was renewed', () => world.memory.delete('k'), 12_000],
  ] as const)('that was %s meanwhile is stored', async (_how, lose, laterMs) => {
    await open();
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    lose();
    await world.clock.advance(laterMs);
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
    expect(await instance.auth.credentials()).toMatchObject({ token: 'new' });
  });

  it('that expired meanwhile is stored', async () => {
    world = new World({ leadMs: 1_000, store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    instance = await world.instance();
    await world.clock.advance(12_000);
    expect(instance.store.state.type).toBe('expired');
    expect(world.call(1).request).toMatchObject({ cause: 'expiring', previous: { token: 'old' } });
    await world.answer(1, 'new', HOUR);
    expect(world.stored).toBe('new');
  });

  it('that expired is not fetched before a caller wants it', async () => {
    world = new World({ store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    await world.clock.advance(20_000);
    instance = await world.instance();
    await world.clock.advance(HOUR);
    expect(world.calls).toEqual([]);
  });
});

describe('a clear of an absent credential', () => {
  it.each([
    ['evicted', () => Promise.resolve(world.memory.evict('k'))],
    ['expired', () => world.clock.advance(11_000)],
  ])('that was %s is a logout, too', async (_how, lose) => {
    world = new World({ leadMs: 0, store: { expiresAt: () => undefined } });
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    instance = await world.instance();
    await lose();
    await world.clock.advance(1_000);
    await world.person.clear();
    for (const { auth } of [instance, await world.instance()])
      await expect(auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    expect(world.calls).toEqual([]);
  });

  it('does not count once the credential has been present again', async () => {
    world = new World({ leadMs: 0, store: { expiresAt: () => undefined } });
    await world.person.clear();
    await world.clock.advance(1_000);
    world.memory.set('k', '{"token":"old"}', { ttlMs: 10_000 });
    instance = await world.instance();
    await world.clock.advance(11_000);
    const asked = watch(instance.auth.credentials());
    await world.clock.settle();
    await world.answer(1, 'new');
    expect(asked.value).toMatchObject({ token: 'new' });
  });

  it('is remembered by an instance that still treats the credential as expired', async () => {
    await open({}, 10_000);
    await world.clock.advance(10_001);
    for (const call of world.calls) call.fail(new Error('provider down'));
    await world.clock.advance(500);
    const { emit } = world.memory;
    world.memory.emit = () => undefined;
    await world.person.clear();
    const start = vi.spyOn(AttemptVerbs.prototype, 'start');
    onTestFinished(() => {
      start.mockRestore();
    });
    await world.clock.advance(60_000);
    // Told once of the clear, the instance reads, instead of asking until it sees it.
    expect(start).toHaveBeenCalledTimes(1);
    world.memory.emit = emit;
    const later = await world.instance();
    await expect(later.auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    expect(world.stored).toBeUndefined();
  });
});

describe('a credential past its end', () => {
  it('is replaced on the basis of the stored bytes, also by a late instance', async () => {
    world = new World();
    await world.put('old', 10_000);
    await world.clock.advance(HOUR);
    instance = await world.instance();
    expect(world.call(1).request).toMatchObject({ cause: 'expired', previous: { token: 'old' } });
    await world.answer(1, 'new', HOUR);
    expect(await instance.auth.credentials()).toMatchObject({ token: 'new' });
  });
});

describe('an unreadable credential', () => {
  it('is never replaced, and waiters are rejected with the reason', async () => {
    await open({ leadMs: 10_000 });
    world.memory.set('k', 'garbage');
    await world.clock.settle();
    await expect(instance.auth.credentials()).rejects.toMatchObject({ code: 'UNREADABLE' });
    await world.clock.advance(2 * HOUR);
    expect(world.calls).toEqual([]);
    expect(world.memory.get('k')?.toString()).toBe('garbage');
    await world.put('new', HOUR);
    expect(await instance.auth.credentials()).toMatchObject({ token: 'new' });
  });

  it('that came while new ones were fetched stays as it is', async () => {
    const discarded: unknown[] = [];
    await open({ onDiscarded: (_credentials, reason) => discarded.push(reason) });
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.settle();
    world.memory.set('k', 'garbage');
    await world.answer(1, 'new', HOUR);
    expect(discarded).toEqual(['conflict']);
    expect(world.memory.get('k')?.toString()).toBe('garbage');
    await world.clock.advance(HOUR);
    expect(world.calls).toHaveLength(1);
  });
});
