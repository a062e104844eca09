import { describe, expect, it } from 'vitest';

import { RefusedError, UnavailableError } from '../../src/index.js';
import { freePort } from '../support/free-port.js';
import { eventually } from '../support/wait.js';
import { interruptions, KEY, NO_ROUNDS, saved, say, useFaults } from './support/faults.js';
import { credstreamClients } from './support/server.js';

const { connect, startNotifying, watch } = useFaults();

describe('a server without memory', () => {
  it.each(['allkeys-random', 'allkeys-lru', 'volatile-ttl'])(
    'evicts by %s, and the eviction is distinguished from a clear',
    async (policy) => {
      const server = await startNotifying({ config: { 'maxmemory-policy': policy } });
      const admin = connect(server);
      await admin.set(KEY, 'v1', 'PX', 600_000);
      const { store, changes } = await watch(server, NO_ROUNDS);
      const { signal } = store.current!;
      await admin.config('SET', 'maxmemory', '1');
      // A write makes Redis look for memory, and is refused when there is still none.
      await expect(admin.set('other', '1')).rejects.toThrow('OOM');
      const change = await changes.next();
      expect(change).toMatchObject({ type: 'evicted', source: 'live', origin: 'unknown' });
      expect(say(change)).toBe('evicted v1');
      expect(signal.reason).toMatchObject({
        name: 'AbortError',
        change: { type: change.type, at: change.at },
      });
      expect(store.state).toEqual({ type: 'absent' });
      await admin.config('SET', 'maxmemory', '0');
      await store.save('v2');
      expect(changes.values.map(say)).toEqual(['evicted v1', 'saved v2']);
    },
  );

  it('refuses writes with a typed error, and nothing else happens', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    await admin.set(KEY, 'v1');
    const watched = await watch(server, { maxStalenessMs: 0, replyTimeoutMs: 5_000 });
    const { store, changes } = watched;
    const snapshot = (await store.read())!;
    await admin.config('SET', 'maxmemory', '1');
    const refused = { code: 'REFUSED', reply: 'OOM', retryable: false };
    await expect(store.save('v2')).rejects.toMatchObject(refused);
    await expect(store.save('v2')).rejects.toBeInstanceOf(RefusedError);
    await expect(store.save('v2', { onlyIf: snapshot })).rejects.toMatchObject(refused);
    await expect(store.save('v2', { onlyIf: 'absent' })).rejects.toMatchObject(refused);
    await expect(store.update(() => 'v2')).rejects.toMatchObject(refused);
    expect(await admin.get(KEY)).toBe('v1');
    expect(store.current?.credentials).toBe('v1');
    // Removing needs no memory.
    expect(await store.clear()).toBe(true);
    await admin.config('SET', 'maxmemory', '0');
    await store.save('v3');
    expect(changes.values.map(say)).toEqual(['cleared v1', 'saved v3']);
    expect(interruptions(watched)).toEqual([]);
  });
});

describe('a master that was made a replica', () => {
  it('refuses writes until it is a master again, and serves reads until the next heartbeat', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store, changes } = await watch(server, NO_ROUNDS);
    await store.save('v1');
    await admin.replicaof('127.0.0.1', await freePort());
    await expect(store.save('v2')).rejects.toThrow(/READONLY/);
    // That was the end of the connection, and the next one asks first.
    await expect(store.save('v2')).rejects.toThrow(/is a replica, not a master/);
    await expect(store.save('v2')).rejects.toBeInstanceOf(UnavailableError);
    await expect(store.save('v2', { onlyIf: store.current! })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    await expect(store.clear()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await store.load()).toBe('v1');
    expect(await admin.get(KEY)).toBe('v1');
    await admin.replicaof('NO', 'ONE');
    await store.save('v3');
    expect(changes.values.map(say)).toEqual(['saved v1', 'saved v3']);
  });

  it('loses the command connection, as the master may be another server by now', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store } = await watch(server, NO_ROUNDS);
    await store.save('v1');
    const before = await commandClients();
    expect(before).toHaveLength(1);
    await admin.replicaof('127.0.0.1', await freePort());
    await expect(store.save('v2')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await eventually(async () => expect(await commandClients()).not.toContain(before[0]));
    await admin.replicaof('NO', 'ONE');
    await store.save('v3');

    async function commandClients(): Promise<string[]> {
      return (await credstreamClients(admin)).filter((name) => name.endsWith('commands'));
    }
  });
});

describe('a server that takes no more clients', () => {
  it('is tried again until it accepts one', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { changes, statuses } = await watch(server, NO_ROUNDS);
    await admin.config('SET', 'maxclients', '1');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const status = await statuses.next(({ link }) => link !== 'live');
    expect(status.link).toBe('reconnecting');
    await admin.set(KEY, 'v2');
    await eventually(async () => {
      const stats = await admin.info('stats');
      expect(Number(/^rejected_connections:(\d+)/m.exec(stats)?.[1])).toBeGreaterThan(2);
    });
    expect(changes.values).toEqual([]);
    await admin.config('SET', 'maxclients', '1000');
    await changes.next(saved('v2'));
  });
});
