import { describe, expect, it } from 'vitest';

import {
  ClosedError,
  CredentialMemory,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
} from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { deferred } from '../../support/wait.js';
import { liveWorld, watched } from '../watching/entry-world.js';
import { HOUR } from '../watching/scripted-backend.js';

interface Token {
  readonly token: string;
}

const bytesOf = (token: string): string => JSON.stringify({ token });

function world(options: Partial<MemoryCredentialStoreOptions<Token>> = {}) {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory, ...options });
  return { clock, memory, store, stored: () => memory.get('k')?.toString() };
}

describe('an update whose function is slow', () => {
  it.each([
    ['before close has ended', true],
    ['after close has ended', false],
  ])('writes nothing when the function ends %s', async (_when, early) => {
    const { clock, memory, store, stored } = world();
    memory.set('k', bytesOf('one'), { ttlMs: HOUR });
    const called = deferred<Token | undefined>();
    const returned = deferred<Token>();
    const update = store.update((current) => {
      called.resolve(current);
      return returned.promise;
    });
    const outcome = expect(update).rejects.toBeInstanceOf(ClosedError);
    expect(await called.promise).toEqual({ token: 'one' });

    const closing = store.close();
    if (!early) await closing;
    returned.resolve({ token: 'two' });
    await closing;
    await outcome;
    await clock.settle();
    expect(stored()).toBe(bytesOf('one'));
    expect(memory.ttlMs('k')).toBe(HOUR);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each<[string, Token | undefined]>([
    ['credentials', { token: 'two' }],
    ['nothing', undefined],
  ])('is refused although close still waits for a save, also with %s', async (_what, next) => {
    const serialized = deferred<string>();
    const { clock, store, stored } = world({
      serialize: ({ token }) => (token === 'slow' ? serialized.promise : bytesOf(token)),
      deserialize: (bytes) => JSON.parse(bytes.toString()) as Token,
    });
    const called = deferred();
    const returned = deferred<Token | undefined>();
    const update = store.update(() => {
      called.resolve();
      return returned.promise;
    });
    const outcome = expect(update).rejects.toBeInstanceOf(ClosedError);
    await called.promise;
    const save = store.save({ token: 'slow' });
    const closing = store.close();
    returned.resolve(next);
    await outcome;
    expect(stored()).toBeUndefined();

    serialized.resolve(bytesOf('slow'));
    await save;
    await closing;
    expect(stored()).toBe(bytesOf('slow'));
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not call the function again after close', async () => {
    const { clock, memory, store, stored } = world();
    const called = deferred<undefined>();
    const returned = deferred<Token>();
    let calls = 0;
    const update = store.update(() => {
      calls += 1;
      called.resolve(undefined);
      return returned.promise;
    });
    const outcome = expect(update).rejects.toBeInstanceOf(ClosedError);
    await called.promise;
    // What it returns would be refused, and asked for anew.
    memory.set('k', bytesOf('meanwhile'));
    const closing = store.close();
    returned.resolve({ token: 'two' });
    await closing;
    await outcome;
    await clock.advance(HOUR);
    expect(calls).toBe(1);
    expect(stored()).toBe(bytesOf('meanwhile'));
  });
});

describe('a watcher that is closed', () => {
  it('by a listener during connecting is not watched', async () => {
    const { backend, clock, live, release, statuses } = liveWorld();
    await clock.settle();
    release();
    expect(backend.watching).toBe(0);
    const reads = backend.reads;
    live.events$.subscribe((event) => {
      if (event.type === 'status' && event.status.link === 'connecting') live.close();
    });
    const again = live.retain();
    await clock.settle();
    expect(backend.watching).toBe(0);
    expect(statuses.at(-1)?.link).toBe('closed');

    // Nothing that still arrives brings it back.
    backend.put('late');
    backend.hint();
    backend.feed({ link: 'reconnecting' });
    backend.feed({ link: 'live' });
    again();
    await clock.advance(HOUR);
    expect(backend.reads).toBe(reads);
    expect([live.status.link, live.state.type, live.current]).toEqual([
      'closed',
      'unknown',
      undefined,
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['status', 'state', 'change'] as const)(
    'by a listener to %s is no longer watched',
    async (type) => {
      const { backend, clock, live, changes } = await watched({ token: 'one' }, { inMs: HOUR });
      let closed = 0;
      live.events$.subscribe((event) => {
        const isIt =
          type === 'change'
            ? event.type === 'state' && event.change !== undefined
            : event.type === type;
        if (!isIt || closed > 0) return;
        closed += 1;
        live.close();
      });
      if (type === 'status') backend.feed({ link: 'reconnecting' });
      backend.put('two', HOUR);
      backend.hint();
      await clock.settle();
      expect(closed).toBe(1);
      expect(backend.watching).toBe(0);
      expect(clock.pendingTimers).toBe(0);

      const [reads, emitted] = [backend.reads, changes.length];
      backend.put('three');
      backend.hint();
      backend.feed({ link: 'live' });
      await clock.advance(2 * HOUR);
      expect([backend.reads, changes.length]).toEqual([reads, emitted]);
      expect([live.status.link, live.state.type, live.current]).toEqual([
        'closed',
        'unknown',
        undefined,
      ]);
      expect(clock.pendingTimers).toBe(0);
    },
  );

  it('by a status listener rejects ready, and leaves the memory alone', async () => {
    const { clock, memory, store } = world();
    const links: string[] = [];
    store.on('status', ({ link }) => {
      links.push(link);
      if (link === 'connecting') void store.close();
    });
    const changes: string[] = [];
    const ready = expect(store.ready()).rejects.toBeInstanceOf(ClosedError);
    store.on('change', ({ type }) => changes.push(type));
    await ready;
    memory.set('k', bytesOf('one'), { ttlMs: 1_000 });
    await clock.advance(HOUR);
    expect(links).toEqual(['connecting', 'closed']);
    expect(changes).toEqual([]);
    expect([store.status.link, store.state.type, store.current]).toEqual([
      'closed',
      'unknown',
      undefined,
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('by a status listener is not watched by the call that began the watch', async () => {
    const { clock, memory, store } = world();
    store.once('status', () => store.close());
    let completed = false;
    const received: string[] = [];
    store.changes$.subscribe({
      next: ({ type }) => received.push(type),
      complete: () => (completed = true),
    });
    memory.set('k', bytesOf('one'), { ttlMs: 1_000 });
    await clock.advance(HOUR);
    expect(completed).toBe(true);
    expect(received).toEqual([]);
    expect(store.status.link).toBe('closed');
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('close called twice from inside a listener', () => {
  it.each(['status', 'state', 'change'] as const)('of %s resolves', async (type) => {
    const { clock, memory, store } = world();
    await store.ready();
    const closings: Promise<void>[] = [];
    store.once(type, () => {
      closings.push(store.close(), store.close());
    });
    // A condition of the link for `status`, a credential for the others.
    if (type === 'status') memory.disconnect();
    else memory.set('k', bytesOf('one'), { ttlMs: HOUR });
    await clock.settle();
    expect(closings).toHaveLength(2);
    expect(await Promise.all(closings)).toEqual([undefined, undefined]);
    expect(store.status.link).toBe('closed');
    expect(clock.pendingTimers).toBe(0);
  });

  it('resolves when the listener receives the closed status itself', async () => {
    const { clock, store } = world();
    await store.ready();
    const closings: Promise<void>[] = [];
    store.on('status', ({ link }) => {
      if (link === 'closed') closings.push(store.close(), store.close());
    });
    closings.push(store.close());
    expect(await Promise.all(closings)).toEqual([undefined, undefined, undefined]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('an update that pauses after a conflict', () => {
  it('ends with the store, and leaves no timer behind', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock, random: () => 0.99 });
    const store = new MemoryCredentialStore<{ token: string }>({ key: 'k', memory: memory });
    const updating = store.update(() => {
      memory.set('k', '{"token":"x"}');
      return { token: 'y' };
    });
    const outcome = expect(updating).rejects.toBeInstanceOf(ClosedError);
    await clock.settle();
    expect(clock.pendingTimers).toBe(1);
    const closing = store.close();
    await clock.settle();
    await closing;
    expect(clock.pendingTimers).toBe(0);
    await outcome;
  });
});
