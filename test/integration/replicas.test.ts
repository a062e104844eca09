import type { Redis } from 'ioredis';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';

import {
  InvalidOptionError,
  type RedisCredentialStore,
  RefusedError,
  UnavailableError,
} from 'credstream';

import { useCleanup } from '../support/cleanup.js';
import { recordMonitor } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { startRedis, uniqueKey } from '../support/redis.js';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import { storeConnections } from './connections.js';
import { makeUser } from './users.js';
import { bytesOf, NOTIFICATIONS, type Token, useWorld } from './world.js';

const world = useWorld({ config: { ...NOTIFICATIONS, 'repl-diskless-sync-delay': '0' } });
const suite = useCleanup('suite');

/** Long enough to be told from the time that a healthy replica takes. */
const LONG_MS = 20_000;
const SHORT_MS = 150;

let replica: RedisServer;

beforeAll(async () => {
  replica = await replicaOf(world.server);
});

beforeEach(() => replica.resume());

async function replicaOf(master: RedisServer): Promise<RedisServer> {
  const config = { replicaof: `127.0.0.1 ${master.port}`, 'repl-diskless-load': 'disabled' };
  return suite.track(await startRedis({ config }), (one) => one.stop());
}

/** Until the replica takes part, a WAIT counts none. */
async function inStep(): Promise<void> {
  const redis = world.connect();
  await eventually(
    async () => {
      await redis.set('in-step', '1');
      return (await redis.wait(1, 200)) === 1;
    },
    { timeoutMs: 20_000 },
  );
}

/** Resumed in any case, or it could not be stopped. */
async function suspendReplica(): Promise<void> {
  await replica.suspend();
  world.track(replica, (one) => one.resume());
}

async function through(): Promise<TcpProxy> {
  const link = await createTcpProxy({ target: world.server });
  return world.track(link, () => link.close());
}

const waiting = async (redis: Redis): Promise<Record<string, string> | undefined> =>
  (await storeConnections(redis)).find(({ name }) => name === 'credstream:replicas');

const isBlocked = async (redis: Redis): Promise<boolean> =>
  (await waiting(redis))?.['flags'] === 'b';

const timed = async <R>(run: Promise<R>): Promise<[result: R, ms: number]> => {
  const startedAt = performance.now();
  return [await run, performance.now() - startedAt];
};

describe('a save that waits for replicas', () => {
  beforeEach(inStep);

  it('returns the number of replicas that have it, and one of them serves it', async () => {
    const store = world.store(world.connect());
    const reader = world.connect({}, replica.url);
    expect(await store.save({ token: 'a' })).toEqual({ announced: true });
    for (const token of ['b', 'c', 'd']) {
      const options = { replicas: 1, replicaTimeoutMs: LONG_MS };
      expect(await store.save({ token }, options)).toEqual({ announced: true, replicas: 1 });
      expect(await reader.get(store.id)).toBe(bytesOf(token));
    }
  });

  it.each<[string, (store: RedisCredentialStore<Token>) => Promise<unknown>]>([
    ['over nothing', (store) => store.save({ token: 'b' }, { onlyIf: 'absent', replicas: 1 })],
    ['with update', (store) => store.update(() => ({ token: 'b' }), { replicas: 1 })],
    [
      'over what was seen',
      async (store) => {
        await store.save({ token: 'a' });
        return store.save({ token: 'b' }, { onlyIf: await store.read(), replicas: 1 });
      },
    ],
  ])('returns that number %s', async (_name, save) => {
    const store = world.store(world.connect());
    expect(await save(store)).toMatchObject({ replicas: 1, replicasError: undefined });
    expect(await world.connect({}, replica.url).get(store.id)).toBe(bytesOf('b'));
  });

  it('resolves after replicaTimeoutMs with none when the replica hangs', async () => {
    const redis = world.connect();
    const store = world.store(world.connect());
    await store.save({ token: 'a' }, { replicas: 1 });
    await suspendReplica();
    const options = { replicas: 1, replicaTimeoutMs: SHORT_MS };
    const [receipt, ms] = await timed(store.save({ token: 'b' }, options));
    expect(receipt).toEqual({ announced: true, replicas: 0 });
    expect(ms).toBeGreaterThanOrEqual(SHORT_MS);
    expect(ms).toBeLessThan(SHORT_MS + 1_000 + noiseMs());
    expect(await redis.get(store.id)).toBe(bytesOf('b'));
    // On another connection than the one that wrote: that of a store which has opened none yet.
    const other = world.store(world.connect());
    expect(await other.save({ token: 'a' }, options)).toMatchObject({ replicas: 0 });
  });

  it('resolves as soon as a replica that hung goes on', async () => {
    const store = world.store(world.connect());
    await suspendReplica();
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await eventually(() => isBlocked(world.connect()));
    await replica.resume();
    const [receipt, ms] = await timed(saving);
    expect(receipt).toEqual({ announced: true, replicas: 1 });
    expect(ms).toBeLessThan(LONG_MS / 2);
  });

  it('resolves with the existing replicas when more are requested', async () => {
    const store = world.store(world.connect());
    const options = { replicas: 2, replicaTimeoutMs: SHORT_MS };
    expect(await store.save({ token: 'a' }, options)).toEqual({ announced: true, replicas: 1 });
  });

  it('has its own connection, from the first on, and other calls go on meanwhile', async () => {
    const redis = world.connect();
    const client = world.connect();
    const [slow, quick] = [world.store(client), world.store(client)];
    await slow.save({ token: 'a' });
    expect(await waiting(redis)).toBeUndefined();
    await suspendReplica();
    const saving = slow.save({ token: 'b' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await eventually(() => isBlocked(redis));
    const [, ms] = await timed(
      (async () => {
        await quick.save({ token: 'c' });
        // Also those of the same store.
        await slow.save({ token: 'd' });
        expect(await slow.load()).toEqual({ token: 'd' });
      })(),
    );
    expect(ms).toBeLessThan(LONG_MS / 4);
    await replica.resume();
    expect(await saving).toMatchObject({ replicas: 1 });
  });

  it('does not wait longer because other saves wait', async () => {
    const client = world.connect();
    const [patient, modest, brief] = [1, 2, 3].map(() => world.store(client));
    // One is not there, so this waits for all of its time.
    let waits = true;
    const long = patient!
      .save({ token: 'a' }, { replicas: 2, replicaTimeoutMs: 3_000 })
      .finally(() => (waits = false));
    await eventually(() => isBlocked(world.connect()));
    const one = await modest!.save({ token: 'b' }, { replicas: 1 });
    expect(one).toEqual({ announced: true, replicas: 1 });
    const two = await brief!.save({ token: 'c' }, { replicas: 2, replicaTimeoutMs: 1_500 });
    expect(two).toEqual({ announced: true, replicas: 1 });
    expect(waits).toBe(true);
    expect(await long).toEqual({ announced: true, replicas: 1 });
  });

  it('shares one WAIT with many other saves', async () => {
    const client = world.connect();
    const stores = Array.from({ length: 50 }, () => world.store(client));
    await Promise.all(stores.map((store) => store.load()));
    const warnings: string[] = [];
    const warned = ({ name }: Error): unknown => warnings.push(name);
    world.track(process.on('warning', warned), (one) => one.off('warning', warned));
    const recording = await recordMonitor(world.server);
    const receipts = await Promise.all(
      stores.map((store) => store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS })),
    );
    const lines = await recording.stop();
    expect(receipts.every(({ replicas }) => replicas === 1)).toBe(true);
    const waits = lines.filter(({ args }) => args[0]?.toLowerCase() === 'wait');
    expect(waits.length).toBeLessThanOrEqual(50);
    // 0 would wait for ever.
    expect(waits.every(({ args }) => Number(args[2]) >= 1)).toBe(true);
    expect(await world.connect().keys('credstream:wait:*')).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('keeps the order of the writes', async () => {
    const store = world.store(world.connect());
    await store.load();
    const recording = await recordMonitor(world.server);
    const tokens = Array.from({ length: 20 }, (_, index) => `token-${index}`);
    const receipts = await Promise.all(
      tokens.map((token, index) =>
        store.save({ token }, index % 3 === 0 ? { replicas: 1, replicaTimeoutMs: LONG_MS } : {}),
      ),
    );
    const lines = await recording.stop();
    const written = lines.filter(
      ({ args }) => args[0]?.toLowerCase() === 'set' && args[1] === store.id,
    );
    expect(written.map(({ args }) => args[2])).toEqual(tokens.map(bytesOf));
    expect(receipts.map(({ replicas }) => replicas)).toEqual(
      tokens.map((_, index) => (index % 3 === 0 ? 1 : undefined)),
    );
    expect(await store.load()).toEqual({ token: 'token-19' });
  });

  it('shows the secret only in the write itself', async () => {
    const store = world.store(world.connect());
    const recording = await recordMonitor(world.server);
    await store.save({ token: 'canary-5f2c' }, { replicas: 1 });
    await store.save({ token: 'canary-77aa' }, { onlyIf: await store.read(), replicas: 1 });
    const lines = await recording.stop();
    const holding = lines.filter(({ text }) => text.includes('canary'));
    // The plain one, the staged copy, and the script's own.
    expect(holding).toHaveLength(3);
    expect(holding.every(({ args }) => args[0]?.toLowerCase() === 'set')).toBe(true);
    const marks = lines.filter(({ args }) => args[1]?.startsWith('credstream:wait:'));
    expect(marks.map(({ args }) => args[0]?.toLowerCase())).toEqual(['set', 'del', 'set', 'del']);
    expect(marks.filter(({ args }) => args.length > 2).map(({ args }) => args[2])).toEqual([
      '1',
      '1',
    ]);
  });
});

describe('a save without an answer about replicas', () => {
  beforeEach(inStep);

  it('reports that WAIT was refused, and has written', async () => {
    const user = await makeUser(world, '+@all -wait ~* &*');
    const store = world.store(user.connect());
    const receipt = await store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toBeInstanceOf(RefusedError);
    expect(receipt.replicasError).toMatchObject({ reply: 'NOPERM' });
    expect(await store.load()).toEqual({ token: 'a' });
    await user.setRights('+wait');
    expect(await store.save({ token: 'b' }, { replicas: 1 })).toEqual({
      announced: true,
      replicas: 1,
    });
  });

  it('reports that the marker was refused, and has written', async () => {
    const key = uniqueKey();
    const user = await makeUser(world, `+@all ~${key} &*`);
    const store = world.store(user.connect(), { key });
    const receipt = await store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toMatchObject({ code: 'REFUSED', reply: 'NOPERM' });
    expect(await store.load()).toEqual({ token: 'a' });
  });

  it('resolves when the link dies meanwhile, and the next save uses a new link', async () => {
    const redis = world.connect();
    const store = world.store(world.connect());
    await suspendReplica();
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await eventually(() => isBlocked(redis));
    await redis.client('KILL', 'ID', (await waiting(redis))!['id']!);
    const receipt = await saving;
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toBeInstanceOf(UnavailableError);
    expect(await redis.get(store.id)).toBe(bytesOf('a'));
    await replica.resume();
    await inStep();
    expect(await store.save({ token: 'b' }, { replicas: 1 })).toMatchObject({ replicas: 1 });
  });

  it('resolves in time when the link is silent', async () => {
    const link = await through();
    const store = world.store(world.connect({}, link.url), { replyTimeoutMs: 500 });
    await store.save({ token: 'a' }, { replicas: 1 });
    link.pause('toClient', { select: ({ sentText }) => /\r\nwait\r\n/i.test(sentText) });
    const [receipt, ms] = await timed(
      store.save({ token: 'b' }, { replicas: 1, replicaTimeoutMs: SHORT_MS }),
    );
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toBeInstanceOf(UnavailableError);
    expect(ms).toBeLessThan(LONG_MS / 2);
  });

  it('does not count the replicas of a server that has never had the write', async () => {
    const link = await through();
    const store = world.store(world.connect({}, link.url));
    await store.save({ token: 'a' });
    const elsewhere = await startRedis({ config: { 'repl-diskless-sync-delay': '0' } });
    world.track(elsewhere, (one) => one.stop());
    const follower = await replicaOf(elsewhere);
    const redis = world.connect({}, elsewhere.url);
    await eventually(
      async () => {
        await redis.set('in-step', '1');
        return (await redis.wait(1, 200)) === 1;
      },
      { timeoutMs: 20_000 },
    );
    // The link of the write stays with the old master, as with one that hangs or is cut off; a new link meets the new one.
    link.target = elsewhere;
    const receipt = await store.save({ token: 'b' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toBeInstanceOf(UnavailableError);
    expect(follower.pid).toBeDefined();
    // Nor does it stay there: the next one may find the right server.
    await eventually(async () => expect(await waiting(redis)).toBeUndefined());
    link.target = world.server;
    expect(await store.save({ token: 'c' }, { replicas: 1, replicaTimeoutMs: LONG_MS })).toEqual({
      announced: true,
      replicas: 1,
    });
  });

  it('ends with close() within its deadline', async () => {
    const store = world.store(world.connect(), { closeTimeoutMs: 300 });
    await suspendReplica();
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await eventually(() => isBlocked(world.connect()));
    const [, ms] = await timed(store.close());
    expect(ms).toBeLessThan(300 + 1_000 + noiseMs());
    const [receipt] = await timed(saving);
    expect(receipt).toMatchObject({ announced: true, replicas: 0 });
    expect(receipt.replicasError).toBeInstanceOf(UnavailableError);
    await eventually(async () => expect(await waiting(world.connect())).toBeUndefined());
  });

  it('ends with the close() of its store alone while other stores on the client go on', async () => {
    const client = world.connect();
    const store = world.store(client, { closeTimeoutMs: 100 });
    const other = world.store(client);
    await other.load();
    await suspendReplica();
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await eventually(() => isBlocked(world.connect()));
    await store.close();
    const [receipt, ms] = await timed(saving);
    expect(receipt.replicasError).toBeInstanceOf(UnavailableError);
    expect(ms).toBeLessThan(1_000 + noiseMs());
    await replica.resume();
    await inStep();
    expect(await other.save({ token: 'b' }, { replicas: 1 })).toMatchObject({ replicas: 1 });
  });

  it('makes close() wait for replicas that are in time', async () => {
    const store = world.store(world.connect());
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS });
    await store.close();
    expect(await saving).toEqual({ announced: true, replicas: 1 });
  });

  it('ends its wait when its signal aborts', async () => {
    const store = world.store(world.connect());
    await suspendReplica();
    const reason = new Error('enough');
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const saving = store.save({ token: 'a' }, { replicas: 1, replicaTimeoutMs: LONG_MS, signal });
    await eventually(() => isBlocked(world.connect()));
    giveUp.abort(reason);
    await expect(saving).rejects.toBe(reason);
    expect(await store.load()).toEqual({ token: 'a' });
    const [, ms] = await timed(store.close());
    expect(ms).toBeLessThan(1_000 + noiseMs());
  });
});

describe('options about replicas', () => {
  it.each<[string, object, string]>([
    ['none', { replicas: 0 }, 'replicas'],
    ['half a replica', { replicas: 0.5 }, 'replicas'],
    ['a text', { replicas: '1' }, 'replicas'],
    ['null', { replicas: null }, 'replicas'],
    ['far too many', { replicas: 1_001 }, 'replicas'],
    ['no time', { replicas: 1, replicaTimeoutMs: 0 }, 'replicaTimeoutMs'],
    ['endless time', { replicas: 1, replicaTimeoutMs: Infinity }, 'replicaTimeoutMs'],
    ['more than a minute', { replicas: 1, replicaTimeoutMs: 60_001 }, 'replicaTimeoutMs'],
    ['no number', { replicas: 1, replicaTimeoutMs: NaN }, 'replicaTimeoutMs'],
    ['time for nothing', { replicaTimeoutMs: 100 }, 'replicaTimeoutMs'],
  ])('are checked before anything is sent: %s', async (_name, options, option) => {
    const store = world.store(world.connect());
    const recording = await recordMonitor(world.server);
    const refused = expect.objectContaining({ option }) as Error;
    await expect(store.save({ token: 'a' }, options)).rejects.toEqual(refused);
    await expect(store.save({ token: 'a' }, options)).rejects.toThrow(InvalidOptionError);
    await expect(store.update(() => ({ token: 'a' }), options)).rejects.toEqual(refused);
    expect((await recording.stop()).filter(({ text }) => text.includes(store.id))).toEqual([]);
  });
});
