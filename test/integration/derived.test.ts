import { Keyv } from 'keyv';
import { describe, expect, it } from 'vitest';

import { derive, type Derived, invalidate, type RedisCredentialStore } from 'credstream';

import { uniqueKey } from '../support/redis.js';
import { deferred, eventually } from '../support/wait.js';
import { HINTS_ONLY, type Token, useWorld } from './world.js';

const { connect, store: open, track } = useWorld();

interface Client {
  readonly token: string;
  ended: number;
}

interface Instance {
  readonly store: RedisCredentialStore<Token>;
  readonly client: Derived<Client>;
  readonly clients: Client[];
}

/** A process of its own, as far as credstream can tell: it has a client of its own. */
function instance(key: string): Instance {
  const store = open<Token>(connect(), { ...HINTS_ONLY, key });
  const clients: Client[] = [];
  const client = derive(
    store,
    async ({ token }) => {
      const made = { token, ended: 0 };
      clients.push(made);
      return made;
    },
    {
      dispose: (one) => {
        one.ended += 1;
      },
    },
  );
  track(client, (one) => one.close());
  return { store, client, clients };
}

describe('a value derived from a credential on a real Redis', () => {
  it('is replaced on the other instance by a rotation, and the old one is disposed of after its last use', async () => {
    const key = uniqueKey();
    const [writer, reader] = [instance(key), instance(key)];
    await writer.store.save({ token: 'one' }, { ttlSeconds: 3_600 });
    const [used, work] = [deferred<Client>(), deferred()];
    const use = reader.client.use(async (client) => {
      used.resolve(client);
      await work.promise;
      return client.ended;
    });
    const old = await used.promise;
    expect(old.token).toBe('one');

    await writer.store.save({ token: 'two' }, { ttlSeconds: 3_600 });
    const next = await eventually(async () => {
      const token = await reader.client.use((client) => client.token);
      expect(token).toBe('two');
      return token;
    });
    expect([next, old.ended]).toEqual(['two', 0]);
    work.resolve();
    expect(await use).toBe(0);
    expect([reader.clients.length, old.ended]).toEqual([2, 1]);
    expect(await writer.client.use(({ token }) => token)).toBe('two');

    await writer.store.clear({ reason: 'logout' });
    await eventually(() => {
      expect(reader.client.state).toEqual({ type: 'idle', waitingFor: 'credential' });
    });
    await eventually(() => {
      expect(reader.clients.map(({ ended }) => ended)).toEqual([1, 1]);
    });
  });

  it('is removed from the cache of the other instance', async () => {
    const key = uniqueKey();
    const writer = open<Token>(connect(), { ...HINTS_ONLY, key });
    const reader = open<Token>(connect(), { ...HINTS_ONLY, key });
    const cache = new Keyv<string>();
    const kept = invalidate(cache, reader, { keys: ['answer'] });
    track(kept, (one) => one.close());
    await writer.save({ token: 'one' });
    await reader.ready();

    await eventually(() => {
      expect(reader.current?.credentials).toEqual({ token: 'one' });
    });
    const stillTrue = kept.guard();
    await cache.set('answer', 'made with one');
    expect([stillTrue(), await cache.has('answer')]).toEqual([true, true]);
    await writer.save({ token: 'two' });
    await eventually(async () => {
      expect(await cache.has('answer')).toBe(false);
    });
    expect(stillTrue()).toBe(false);
  });
});
