import type { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { afterAll, beforeAll, describe, it } from 'vitest';

import { connect, disconnect } from '../support/redis-clients.js';
import { type ClientOptions, startRedis, uniquePrefix } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { type Setting, expectScenario } from './scenario.js';
import { makeUser } from './users.js';
import { NOTIFICATIONS, useWorld } from './world.js';

const world = useWorld();

const majors: readonly (readonly [string, (url: string, options: ClientOptions) => Redis])[] = [
  ['ioredis 6', (url, options) => connect(url, options)],
  [
    'ioredis 5',
    (url, options) => {
      // The types of the two versions differ in what this package does not use.
      const client = new Redis5(url, { autoResubscribe: false, ...(options as object) });
      client.on('error', () => {});
      return client as unknown as Redis;
    },
  ],
];

/** What may stand among the options of the caller's client. Some of it only one major knows; the other one has to bear it. */
const options: readonly (readonly [string, object])[] = [
  ['nothing special', {}],
  ['a database other than 0', { db: 5 }],
  ['a keyPrefix', { keyPrefix: 'app:' }],
  ['a keyPrefix with braces, on another database', { keyPrefix: '{tenant}:', db: 3 }],
  ['enableAutoPipelining', { enableAutoPipelining: true }],
  ["scaleReads: 'slave', which is an option of clusters", { scaleReads: 'slave' }],
  ["replyMapping: 'resp3'", { replyMapping: 'resp3' }],
  ['protocol: 2', { protocol: 2 }],
  ['lazyConnect', { lazyConnect: true }],
  ['stringNumbers', { stringNumbers: true }],
  ['readOnly', { readOnly: true, lazyConnect: true }],
  ['no ready check and no offline queue', { enableReadyCheck: false, enableOfflineQueue: false }],
  ['noDelay off, keepAlive and family', { noDelay: false, keepAlive: 1_000, family: 4 }],
  [
    'all of it',
    {
      db: 7,
      keyPrefix: 'all:',
      enableAutoPipelining: true,
      scaleReads: 'slave',
      replyMapping: 'resp3',
      lazyConnect: true,
      stringNumbers: true,
    },
  ],
];

/** Ends the subscribed connections of this very setting; with many users on one server that is by user. */
const byUser = (admin: Redis, name: string) => () => admin.call('CLIENT', 'KILL', 'USER', name);

describe.each(majors)('every feature with %s', (_major, makeClient) => {
  const client = (clientOptions: ClientOptions, url = world.server.url): Redis =>
    world.track(makeClient(url, clientOptions), disconnect);

  it.each(options)('works with %s', async (_name, given) => {
    const { db = 0, keyPrefix = '' } = given as ClientOptions;
    await expectScenario(world, {
      client: () => client(given),
      admin: world.connect({ db }),
      keyPrefix,
    });
  });

  const play = async (
    rules: (prefix: string) => string,
    setting: Partial<Setting> = {},
    clientOptions: ClientOptions = {},
  ): Promise<void> => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, rules(prefix));
    const admin = world.connect({ db: clientOptions.db ?? 0 });
    const account = { username: user.name, password: 'secret', lazyConnect: true };
    await expectScenario(world, {
      client: () => client({ ...account, ...clientOptions }),
      admin,
      prefix,
      disconnect: byUser(admin, user.name),
      ...setting,
    });
  };

  it('works where CONFIG, INFO, CLIENT and FUNCTION are refused', async () => {
    await play(() => '+@all -config -info -client -function -fcall -fcall_ro ~* &*');
  });

  it('works where only the documented commands are allowed', async () => {
    await play(
      (prefix) =>
        `${LISTED} +wait ~${prefix}* ~credstream:stage:{${prefix}* ~credstream:cleared:{${prefix}*
         ~credstream:attempt:{${prefix}* ~credstream:wait:{${prefix}* ~credstream:epoch
         ~credstream:probe:* resetchannels &credstream:0:${prefix}* &__keyspace@0__:${prefix}*
         &__keyspace@0__:credstream:probe:*`,
    );
  });

  it('works where only these are allowed, on another database, and WAIT is refused', async () => {
    await play(
      (prefix) =>
        `${LISTED} +select ~${prefix}* ~credstream:* resetchannels &credstream:9:${prefix}*
         &__keyspace@9__:${prefix}* &__keyspace@9__:credstream:probe:*`,
      { replicas: { replicas: 0, replicasError: { code: 'REFUSED', reply: 'NOPERM' } } },
      { db: 9 },
    );
  });

  it('works where no channel is allowed', async () => {
    await play(() => '+@all ~* resetchannels', { announced: false, notified: false });
  });
});

const LISTED = `-@all +evalsha_ro +eval_ro +strlen +get +pexpiretime +time +multi +exec +set +del
  +publish +evalsha +eval +subscribe +unsubscribe`;

describe.each(majors)('every feature without some commands, with %s,', (_major, makeClient) => {
  let server: RedisServer;

  beforeAll(async () => {
    const { unknown } = await abilitiesOf(world.connect());
    const taken = ['CONFIG', 'INFO', 'FUNCTION', 'DEBUG', 'KEYS', 'FLUSHALL', 'SAVE'].filter(
      // A name that the server does not know keeps it from starting.
      (name) => !unknown.has(name.toLowerCase()),
    );
    const config = Object.fromEntries(taken.map((name) => [`rename-command ${name}`, '']));
    server = await startRedis({ config: { ...NOTIFICATIONS, ...config } });
  });

  afterAll(() => server.stop());

  it('works', async () => {
    // The caller's own client asks for INFO, unless it is told not to; the store's connections never do.
    const withoutInfo = { enableReadyCheck: false };
    await expectScenario(world, {
      client: () => world.track(makeClient(server.url, withoutInfo), disconnect),
      admin: world.connect(withoutInfo, server.url),
    });
  });

  it('works without CLIENT, too', async () => {
    const config = { ...NOTIFICATIONS, 'rename-command CLIENT': 'DENIED-CLIENT' };
    const other = world.track(await startRedis({ config }), (one) => one.stop());
    const admin = world.connect({}, other.url);
    await expectScenario(world, {
      client: () => world.track(makeClient(other.url, {}), disconnect),
      admin,
      disconnect: () => admin.call('DENIED-CLIENT', 'KILL', 'TYPE', 'pubsub'),
    });
  });
});
