import { Cluster, Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { InvalidOptionError, RedisCredentialStore, RefusedError } from 'credstream';

import { recordMonitor } from '../support/command-counter.js';
import { type ClientOptions, uniqueKey, uniquePrefix } from '../support/redis.js';
import { expectEndOf } from '../support/expect-end.js';
import { eventually } from '../support/wait.js';
import { connections, storeConnections } from './connections.js';
import { brings, bytesOf, HINTS_ONLY, useWorld } from './world.js';

const world = useWorld();

/** One of everything that goes over our connections. */
async function expectEveryUse(template: Redis, redis: Redis, prefix = ''): Promise<void> {
  const { store, key, changes } = await world.watch(template);
  const full = prefix + key;
  expect(store.id).toBe(key);
  await store.save({ token: 'a' }, { ttlSeconds: 60 });
  expect(await redis.get(full)).toBe(bytesOf('a'));
  await expectEndOf(redis, full, (await store.read())?.expiresAt);
  await redis.set(full, bytesOf('b'));
  expect(await changes.next(brings('b'))).toMatchObject({ origin: 'out-of-band', id: key });
  await eventually(() => expect(store.status.notifications).toBe('keyspace'));
  await store.update(() => ({ token: 'c' }));
  expect(await store.load()).toEqual({ token: 'c' });
  expect(store.current?.credentials).toEqual({ token: 'c' });
  expect(await store.clear()).toBe(true);
  expect(await redis.exists(full)).toBe(0);
  expect(changes.values.map(({ type }) => type)).toEqual(['saved', 'saved', 'saved', 'cleared']);
}

describe('a template', () => {
  const options: readonly (readonly [string, ClientOptions])[] = [
    ['lazyConnect', { lazyConnect: true }],
    ['enableAutoPipelining', { enableAutoPipelining: true }],
    ["replyMapping 'resp3'", { replyMapping: 'resp3' } as ClientOptions],
    ['stringNumbers', { stringNumbers: true }],
    ['readOnly', { readOnly: true, lazyConnect: true }],
    ['connectionName', { connectionName: 'the-application' }],
    ['no offline queue', { enableOfflineQueue: false, lazyConnect: true }],
    ['endless retries', { maxRetriesPerRequest: null, autoResendUnfulfilledCommands: true }],
    ['autoResubscribe', { autoResubscribe: true }],
    ['a ready check', { enableReadyCheck: true }],
    ['friendly error stacks', { showFriendlyErrorStack: true }],
    ['timeouts of its own', { commandTimeout: 30_000, socketTimeout: 30_000 }],
    ['a password that nobody asks for', { password: 'needless', lazyConnect: true }],
    ['queues switched off', { offlineQueue: false, commandQueue: false }],
    ['no client info', { disableClientInfo: true }],
    ['a script of its own', { scripts: { del: { lua: 'return 1', numberOfKeys: 1 } } }],
  ];

  it.each(options)('is accepted with %s', async (_name, clientOptions) => {
    await expectEveryUse(world.connect(clientOptions), world.connect());
  });
});

describe('a store that may configure notifications', () => {
  it.each<[string, ClientOptions]>([
    ['as usual', {}],
    ['as RESP3 has them', { replyMapping: 'resp3' } as ClientOptions],
    ['as RESP2 has them', { protocol: 2 }],
  ])('adds the missing flags when the client reads replies %s', async (_how, clientOptions) => {
    const redis = world.connect();
    await redis.config('SET', 'notify-keyspace-events', 'Eg');
    const { store, key, changes } = await world.watch(world.connect(clientOptions), {
      configureNotifications: true,
    });
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    const [, flags = ''] = await redis.config('GET', 'notify-keyspace-events');
    expect(Array.from(flags).sort().join('')).toBe('$EKegx');
    await redis.set(key, bytesOf('a'));
    await changes.next(brings('a'));
  });
});

describe('a client of the caller on another database', () => {
  it('reaches credentials on that database', async () => {
    const redis = world.connect({ db: 7 });
    await expectEveryUse(world.connect({ db: 7 }), redis);
  });

  it('receives no hint of the same key on another database', async () => {
    const [there, here] = [world.connect({ db: 7 }), world.connect({ db: 0 })];
    const { store, key, changes } = await world.watch(there);
    const other = world.store(here, { key });
    await other.save({ token: 'of database 0' });
    await store.save({ token: 'of database 7' });
    expect(changes.values).toHaveLength(1);
    expect(store.current?.credentials).toEqual({ token: 'of database 7' });
    expect(await other.load()).toEqual({ token: 'of database 0' });
    const used = (await storeConnections(here)).map(({ db }) => db);
    expect(used.sort()).toEqual(['0', '7', '7']);
  });
});

describe('a client of the caller on a database that Redis refuses', () => {
  it('fails, and never uses another database instead', async () => {
    const redis = world.connect();
    const store = world.store(world.connect({ db: 99, lazyConnect: true }));
    await redis.set(store.id, bytesOf('of database 0'));
    await expect(store.load()).rejects.toThrow(RefusedError);
    await expect(store.save({ token: 'a' })).rejects.toThrow(RefusedError);
    await expect(store.clear()).rejects.toThrow(RefusedError);
    await expect(store.ready()).rejects.toThrow(RefusedError);
    expect(store.state.type).toBe('unknown');
    expect(await redis.get(store.id)).toBe(bytesOf('of database 0'));
  });
});

describe('a client of the caller with a keyPrefix', () => {
  it('stores credentials where the GET of the client finds them', async () => {
    const keyPrefix = uniquePrefix('app');
    const template = world.connect({ keyPrefix });
    await expectEveryUse(template, world.connect(), keyPrefix);

    const store = world.store(template);
    await store.save({ token: 'a' });
    expect(await template.get(store.id)).toBe(bytesOf('a'));
  });

  it('shares credentials with stores that give the whole key', async () => {
    const keyPrefix = uniquePrefix('app');
    const prefixed = await world.watch(world.connect({ keyPrefix }));
    const plain = await world.watch(world.connect(), { key: keyPrefix + prefixed.key });
    await prefixed.store.save({ token: 'a' });
    expect(await plain.changes.next()).toMatchObject({
      id: keyPrefix + prefixed.key,
      origin: { instance: expect.any(String) as string, name: expect.any(String) as string },
    });
    await plain.store.save({ token: 'b' }, { onlyIf: plain.store.current! });
    expect(await prefixed.changes.next(brings('b'))).toMatchObject({
      id: prefixed.key,
      origin: { instance: expect.any(String) as string, name: expect.any(String) as string },
    });
  });

  it('may not lead into the keys of the library', () => {
    const client = world.connect({ keyPrefix: 'credstream:', lazyConnect: true });
    expect(() => new RedisCredentialStore(client, { key: 'a' })).toThrow(InvalidOptionError);
  });
});

describe('the client of the caller', () => {
  it('may itself be subscribed, and stays as it is', async () => {
    const template = world.connect({ protocol: 2 });
    await template.subscribe('a channel of the application');
    expect(template.mode).toBe('subscriber');
    await expectEveryUse(template, world.connect());
    expect(await world.connect().publish('a channel of the application', 'x')).toBe(1);
  });

  it('may point to an unreachable server, and can be corrected', async () => {
    const template = new Redis({ port: 1, lazyConnect: true });
    const store = world.store(template, { ...HINTS_ONLY, random: () => 0 });
    await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    template.options.host = world.server.host;
    template.options.port = world.server.port;
    expect(await store.load()).toBeUndefined();
  });

  it('carries no command of the library while it is connected', async () => {
    const redis = world.connect();
    const template = world.connect();
    const id = String(await template.client('ID'));
    const recording = await recordMonitor(world.server);
    await expectEveryUse(template, redis);
    const ours = (await connections(redis)).find((one) => one['id'] === id);
    const lines = await recording.stop();
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.filter(({ source }) => source === ours?.['addr'])).toEqual([]);
    expect(ours).toMatchObject({ cmd: 'client|id', sub: '0' });
  });

  it('may be closed while a store goes on', async () => {
    const redis = world.connect();
    const template = world.connect();
    const { store, key, changes } = await world.watch(template);
    await template.quit();
    await store.save({ token: 'a' });
    await redis.multi().call('CLIENT', 'KILL', 'TYPE', 'pubsub').set(key, bytesOf('b')).exec();
    await changes.next(brings('b'));
    expect(await store.load()).toEqual({ token: 'b' });
  });
});

describe('an unusable client', () => {
  const expectRefusal = (redis: unknown, message: string | RegExp = /./): void => {
    const build = (): unknown => new RedisCredentialStore(redis as Redis, { key: uniqueKey() });
    expect(build).toThrow(message);
    expect(build).not.toThrow(/secret/);
    expect(build).toThrow(expect.toSatisfy((error) => error instanceof InvalidOptionError));
    expect(build).toThrow(expect.objectContaining({ option: 'redis' }));
  };

  it.each<[string, unknown, string | RegExp]>([
    [
      'nothing',
      undefined,
      'must be a client of ioredis or a URL such as redis://127.0.0.1:6379, not undefined',
    ],
    ['null', null, 'must be a client of ioredis or a URL such as redis://127.0.0.1:6379, not null'],
    ['options', { host: '127.0.0.1', port: 1 }, /its options: new Redis\(options\)$/],
    ['the class', Redis, /its class: new Redis\(options\)$/],
    [
      'a client of node-redis',
      { get: () => null, options: {}, duplicate: () => ({}), sendCommand: () => null },
      /of another package; give one of ioredis/,
    ],
    ['a client of another package', { sendCommand: () => null }, /of another package/],
  ])('is refused at construction: %s', (_name, redis, message) => {
    expectRefusal(redis, message);
  });

  it('is refused at construction: a pipeline and a transaction', () => {
    const client = world.connect({ lazyConnect: true });
    expectRefusal(client.pipeline(), /the client that it was made from$/);
    expectRefusal(client.multi(), /the client that it was made from$/);
  });

  it.each<[string, object, RegExp]>([
    ['a database that is no number', { db: NaN }, /db .* whole number from 0$/],
    ['a database below 0', { db: -1 }, /db .* whole number from 0$/],
    ['half a database', { db: 1.5 }, /db .* whole number from 0$/],
    ['a keyPrefix that is a list', { keyPrefix: ['app:'] }, /keyPrefix .* give a string$/],
    ['a keyPrefix of bytes', { keyPrefix: Buffer.from('a:') }, /keyPrefix .* give a string$/],
  ])('is refused at construction: a client with %s', (_name, options, message) => {
    expectRefusal(world.connect({ lazyConnect: true, ...options }), message);
  });

  it('is refused at construction: a client that was closed', async () => {
    const client = world.connect();
    await client.quit();
    await eventually(() => expect(client.status).toBe('end'));
    expectRefusal(client, /is closed; give/);
  });

  it('is refused at construction: a monitor', async () => {
    const monitor = await world.connect().monitor();
    world.track(monitor, () => monitor.disconnect());
    expectRefusal(monitor);
  });

  it.each([
    ['has no startup nodes', [], {}],
    ['finds its nodes by SRV records', [{ host: 'redis.example' }], { useSRVRecords: true }],
  ])('is refused at construction: a cluster that %s', (_name, nodes, options) => {
    const cluster = new Cluster(nodes, { lazyConnect: true, ...options });
    expectRefusal(cluster);
    cluster.disconnect();
  });
});
