import { afterEach, describe, expect, it } from 'vitest';

import { MemoryCredentialStore } from 'credstream';

import { HOUR, type Instance, type Token, watch, World } from './world.js';

let world: World;
afterEach(() => world.close());

const foreignSet = async (): Promise<void> => {
  world.memory.set('k', '{"token":"foreign"}');
  await world.clock.settle();
};

/** All instances, running and later, log in by one attempt. */
async function expectLogin(running: readonly Instance[]): Promise<void> {
  const all = [...running, await world.instance()];
  const asked = all.map(({ auth }) => watch(auth.credentials()));
  await world.clock.advance(1_500);
  expect(world.call(1).request.cause).toBe('absent');
  await world.answer(1, 'new', HOUR);
  await world.clock.settle();
  for (const one of asked) expect(one.value).toMatchObject({ token: 'new' });
}

describe('a logout ends with the next credential', () => {
  it('that an instance has observed, so that a later removal is none', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    await world.person.clear();
    await world.clock.advance(10);
    await foreignSet();
    world.memory.delete('k');
    await world.clock.settle();
    await expectLogin([instance]);
  });

  it('also when the credential is removed in the turn in which it is observed', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    await world.person.clear();
    await world.clock.advance(10);
    instance.store.once('saved', () => world.memory.delete('k'));
    await foreignSet();
    expect(instance.store.state.type).toBe('absent');
    await expectLogin([instance]);
  });

  it('also when only a store watches, and the credential is removed in the turn in which the store observes it', async () => {
    world = new World();
    await world.put('old', HOUR);
    const store = new MemoryCredentialStore<Token>({ key: 'k', memory: world.memory });
    store.once('saved', () => world.memory.delete('k'));
    await store.ready();
    await world.person.clear();
    await world.clock.advance(10);
    await foreignSet();
    expect(store.state.type).toBe('absent');
    await expectLogin([]);
    await store.close();
  });

  it('also when the link is lost in the turn in which a store observes it, and it is removed later', async () => {
    world = new World();
    await world.put('old', HOUR);
    const store = new MemoryCredentialStore<Token>({ key: 'k', memory: world.memory });
    store.once('saved', () => {
      world.memory.disconnect();
    });
    await store.ready();
    await world.person.clear();
    await world.clock.advance(10);
    await foreignSet();
    world.memory.reconnect();
    await world.clock.advance(1_000);
    expect(store.current?.credentials).toEqual({ token: 'foreign' });
    world.memory.delete('k');
    await world.clock.settle();
    await expectLogin([]);
    await store.close();
  });

  it('that an instance found at its start', async () => {
    world = new World();
    await world.put('old', HOUR);
    await world.person.clear();
    await world.clock.advance(10);
    await foreignSet();
    const instance = await world.instance();
    await instance.store.close();
    world.memory.delete('k');
    await expectLogin([]);
  });

  it('and not with one that was removed before an instance read the key', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    await world.person.clear();
    await world.clock.advance(10);
    world.memory.set('k', '{"token":"foreign"}');
    world.memory.delete('k');
    await world.clock.settle();
    for (const { auth } of [instance, await world.instance()])
      await expect(auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
  });
});

describe('a logout', () => {
  it('does not depend on the hint, nor on the cause that the hint names', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    const { emit } = world.memory;
    world.memory.emit = (key, hint) => {
      emit.call(world.memory, key, hint.type === 'removed' ? { ...hint, as: 'expired' } : hint);
    };
    await world.person.clear();
    await world.clock.settle();
    world.memory.emit = emit;
    for (const { auth } of [instance, await world.instance()])
      await expect(auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    expect(world.calls).toEqual([]);
  });

  it('voids an attempt from before it, also after the next credential was stored and removed', async () => {
    const discarded: unknown[] = [];
    world = new World({ onDiscarded: (_credentials, reason) => discarded.push(reason) });
    await world.put('old', HOUR);
    const instance = await world.instance();
    instance.auth.reject(await instance.auth.snapshot());
    await world.clock.advance(10);
    await world.person.clear();
    await world.clock.advance(10);
    await foreignSet();
    world.memory.delete('k');
    await world.clock.settle();
    await world.answer(1, 'of the old login', HOUR);
    expect(world.stored).toBeUndefined();
    expect(discarded).toEqual(['superseded']);
  });

  it('is asked of again after a while: another instance may have seen its end', async () => {
    world = new World();
    await world.put('old', HOUR);
    const instance = await world.instance();
    await world.person.clear();
    await world.clock.settle();
    await expect(instance.auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    world.memory.delete('credstream:cleared:k');
    await expect(instance.auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
    await world.clock.advance(1_500);
    const asked = watch(instance.auth.credentials());
    await world.clock.settle();
    await world.answer(1, 'new', HOUR);
    expect(asked.value).toMatchObject({ token: 'new' });
  });
});
