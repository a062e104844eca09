import { beforeAll, describe, expect, it, vi } from 'vitest';

import {
  type CredentialChange,
  CredentialMemory,
  MemoryCredentialStore,
  type MemoryCredentialStoreOptions,
  OutcomeUnknownError,
  UnavailableError,
} from 'credstream';
import { credentialMatchers, VirtualClock } from 'credstream/testing';

beforeAll(() => {
  expect.extend(credentialMatchers);
});

const HOUR = 3_600_000;
const bytesOf = (token: string): string => JSON.stringify({ token });

interface Token {
  readonly token: string;
}

async function world(options: Partial<MemoryCredentialStoreOptions<Token>> = {}) {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const store = new MemoryCredentialStore<Token>({ key: 'k', memory: memory, ...options });
  const changes: CredentialChange<Token>[] = [];
  store.changes$.subscribe((change) => changes.push(change));
  await store.ready();
  return { clock, memory, store, changes };
}

describe('a memory', () => {
  it('keeps copies, and returns copies', async () => {
    const memory = new CredentialMemory();
    const mine = Buffer.from('one');
    memory.set('k', mine);
    mine.fill(0);
    memory.get('k')?.fill(0);
    expect(memory.get('k')?.toString()).toBe('one');
    const store = new MemoryCredentialStore<Buffer>({
      key: 'k',
      memory: memory,
      serialize: (bytes) => bytes,
      deserialize: (bytes) => bytes,
    });
    (await store.load())?.fill(0);
    expect(memory.get('k')?.toString()).toBe('one');
    const saved = Buffer.from('two');
    const saving = store.save(saved);
    await saving;
    saved.fill(0);
    expect(memory.get('k')?.toString()).toBe('two');
  });

  it('drops keys at their end, and not in that very millisecond', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    memory.set('k', 'one', { ttlMs: 1_000 });
    expect(memory.ttlMs('k')).toBe(1_000);
    await clock.advance(1_000.9);
    expect([memory.get('k')?.toString(), memory.ttlMs('k')]).toEqual(['one', 0]);
    await clock.advance(0.1);
    expect([memory.get('k'), memory.ttlMs('k')]).toEqual([undefined, undefined]);
    expect([memory.expire('k', 5), memory.delete('k'), memory.evict('k')]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('ends nothing when the wall clock is set', async () => {
    const { clock, memory } = await world();
    memory.set('k', bytesOf('one'), { ttlMs: HOUR });
    clock.step(2 * HOUR);
    expect(memory.ttlMs('k')).toBe(HOUR);
  });

  it('has emitted a write when the write resolves, also when that notices a clock that was set', async () => {
    const { clock, memory } = await world();
    const stores = [1, 2, 3].map(
      () => new MemoryCredentialStore<Token>({ key: 'x', memory: memory }),
    );
    await Promise.all(stores.map((store) => store.ready()));
    const store = stores[1];
    await store!.clear();
    clock.step(5_000);
    await store!.save({ token: 'one' }, { ttlSeconds: 1 });
    expect([store!.current?.credentials.token, store!.status.freshness]).toEqual(['one', 'fresh']);
    await Promise.all(stores.map((one) => one.close()));
  });

  it('drops ended keys that nobody reads', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    const emitted: string[] = [];
    memory.join({ hint: (key) => emitted.push(key), gap: () => {} });
    for (let n = 0; n < 500; n += 1) memory.set(`old ${String(n)}`, 'x', { ttlMs: 10 });
    await clock.advance(100);
    emitted.length = 0;
    for (let n = 0; n < 1_000; n += 1) memory.set('new', 'x');
    expect(emitted.filter((key) => key.startsWith('old'))).toHaveLength(500);
  });

  it('is one of its own unless stores are given the same', async () => {
    const [first, second] = [1, 2].map(() => new MemoryCredentialStore<Token>({ key: 'k' }));
    await first?.save({ token: 'one' });
    expect(await second?.load()).toBeUndefined();
  });

  it('keeps keys apart', async () => {
    const { memory, changes, clock } = await world();
    memory.set('kk', bytesOf('other'));
    memory.set('K', bytesOf('other'));
    await clock.settle();
    expect(changes).toEqual([]);
  });
});

describe('a write by any client to a memory', () => {
  it('is emitted as an eviction when it runs out of space', async () => {
    const { clock, memory, changes } = await world();
    memory.set('k', bytesOf('one'));
    await clock.settle();
    expect(memory.evict('k')).toBe(true);
    await clock.settle();
    expect(changes[1]).toBeChange('evicted', { previous: { token: 'one' } });
  });

  it('is noticed although a flush names no key', async () => {
    const { clock, memory, changes, store } = await world();
    memory.set('k', bytesOf('one'));
    await clock.settle();
    memory.flush();
    await clock.settle();
    expect(changes[1]).toBeChange('cleared', { source: 'resync', origin: 'unknown' });
    expect(store.status.freshness).toBe('fresh');
  });
});

describe('a memory that is disconnected', () => {
  it('refuses calls with a retryable error', async () => {
    const { memory, store } = await world();
    await store.save({ token: 'one' });
    memory.disconnect();
    memory.disconnect();
    for (const call of [
      () => store.load(),
      () => store.read(),
      () => store.save({ token: 'two' }),
      () => store.clear(),
      () => store.update(() => ({ token: 'two' })),
    ]) {
      const error: unknown = await call().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UnavailableError);
      expect(error).toMatchObject({ retryable: true });
    }
    memory.reconnect();
    memory.reconnect();
    expect(await store.load()).toEqual({ token: 'one' });
  });

  it('reports an unknown outcome for a write whose reply was lost', async () => {
    const { memory, store } = await world();
    await store.save({ token: 'one' });
    const outcome = store.save({ token: 'two' }).catch((reason: unknown) => reason);
    // Disconnected in the very turn in which the write is stored.
    const watch = memory.join({
      hint: () => {
        queueMicrotask(() => {
          memory.disconnect();
        });
      },
      gap: () => {},
    });
    expect(await outcome).toBeInstanceOf(OutcomeUnknownError);
    watch();
    expect(memory.get('k')?.toString()).toBe(bytesOf('two'));
  });

  it('is noticed by its stores, which catch up afterwards', async () => {
    const { clock, memory, store, changes } = await world();
    memory.set('k', bytesOf('one'));
    await clock.settle();
    memory.disconnect();
    expect(store.status).toMatchObject({ link: 'reconnecting', freshness: 'stale' });
    memory.set('k', bytesOf('two'));
    await clock.settle();
    expect(store.current?.credentials).toEqual({ token: 'one' });
    memory.reconnect();
    await clock.settle();
    expect(store.current?.credentials).toEqual({ token: 'two' });
    expect(changes[1]).toBeChange('saved', { source: 'resync' });
  });

  it('starts maxStalenessMs at the disconnection, not at the last read', async () => {
    const { clock, memory, store } = await world({ maxStalenessMs: 30_000 });
    await store.save({ token: 'one' });
    await clock.advance(HOUR);
    memory.disconnect();
    expect(store.status.staleSince).toBe(clock.now());
    await clock.advance(29_999);
    expect(store.current?.credentials).toEqual({ token: 'one' });
    await clock.advance(1);
    expect(store.current).toBeUndefined();
  });

  it('lets new stores wait meanwhile', async () => {
    const clock = new VirtualClock();
    const memory = new CredentialMemory({ clock });
    memory.disconnect();
    const store = new MemoryCredentialStore<Token>({
      key: 'k',
      memory: memory,
      readyTimeoutMs: 1_000,
    });
    const late: Promise<unknown> = store.ready().catch((reason: unknown) => reason);
    await clock.advance(1_000);
    expect(await late).toMatchObject({ code: 'TIMEOUT', timeoutMs: 1_000, retryable: true });
    const ready = store.ready({ timeoutMs: Infinity });
    memory.reconnect();
    await ready;
    expect(store.status.link).toBe('live');
    await store.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a store that is closed by one of its listeners', () => {
  it('still emits the closed status to it', async () => {
    const { memory, store } = await world();
    const links: string[] = [];
    let closing: Promise<void> | undefined;
    store.on('status', ({ link }) => links.push(link));
    store.on('saved', () => {
      closing = store.close();
    });
    memory.set('k', Buffer.from(bytesOf('one')));
    await store.load();
    await vi.waitFor(() => {
      expect(closing).toBeDefined();
    });
    await closing;
    expect(links.at(-1)).toBe('closed');
  });
});
