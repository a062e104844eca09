import type { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { UnavailableError } from 'credstream';

import { makeAuthority } from '../support/certificates.js';
import { useCleanup } from '../support/cleanup.js';
import { connect, disconnect } from '../support/redis-clients.js';
import { type ClientOptions, startRedis } from '../support/redis.js';
import { startTlsRedis, type TlsRedis } from '../support/tls-redis.js';
import { collect, eventually } from '../support/wait.js';
import { expectScenario } from './scenario.js';
import { HINTS_ONLY, NOTIFICATIONS, useWorld } from './world.js';

const world = useWorld();
const { track } = useCleanup();
const random = (): number => 0;

const PASSWORD = 'a-password-4-TLS';

let redis: TlsRedis;
/** Of somebody else. */
let strange: string;

beforeAll(async () => {
  const config = {
    ...NOTIFICATIONS,
    user: `cloud on >${PASSWORD} ~* &* +@all`,
  };
  redis = await startTlsRedis({ config });
  strange = (await makeAuthority('somebody else')).cert;
});

afterAll(() => redis.stop());

const account = { username: 'cloud', password: PASSWORD };

type Make = (options: ClientOptions, url?: string) => Redis;

const majors: readonly (readonly [string, Make])[] = [
  ['ioredis 6', (options, url = redis.url) => connect(url, { lazyConnect: true, ...options })],
  [
    'ioredis 5',
    (options, url = redis.url) => {
      const client = new Redis5(url, { lazyConnect: true, ...(options as object) });
      client.on('error', () => {});
      return client as unknown as Redis;
    },
  ],
];

describe.each(majors)('over TLS with %s', (_name, makeClient) => {
  const make: Make = (options, url) => track(makeClient(options, url), disconnect);

  it('every feature works with a user name and a password', async () => {
    const admin = track(connect(redis.server), disconnect);
    const options = { tls: { ca: redis.ca }, ...account };
    await expectScenario(world, { client: () => make(options), admin });
    const list = (await admin.client('LIST')) as string;
    expect(list).toContain('user=cloud');
  });

  it('a server with an untrusted certificate receives nothing, and the status shows the reason', async () => {
    const client = make({ tls: { ca: strange }, ...account });
    const store = world.store(client, { ...HINTS_ONLY, random, readyTimeoutMs: 300 });
    const statuses = collect(store.status$);
    await expect(store.ready()).rejects.toMatchObject({ code: 'TIMEOUT' });
    const refused = await statuses.next(({ error }) => error !== undefined);
    expect(refused.link).toBe('connecting');
    expect(refused.error).toBeInstanceOf(UnavailableError);
    const { cause } = refused.error!;
    expect(cause).toMatchObject({ code: expect.stringMatching(/CERT|SIGNATURE/) as string });
    const failure: unknown = await store.save({ token: 'canary' }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect((failure as Error).cause).toMatchObject({ code: (cause as { code?: string }).code });
    expect(await track(connect(redis.server), disconnect).exists(store.id)).toBe(0);
    expect(statuses.values.map(({ link }) => link)).not.toContain('unauthorized');
  });

  it('a client without TLS is not admitted', async () => {
    const client = make(account, redis.url.replace('rediss:', 'redis:'));
    const store = world.store(client, { random, replyTimeoutMs: 200 });
    await expect(store.save({ token: 'a' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('a wrong password is unauthorized, as without TLS', async () => {
    const client = make({ tls: { ca: redis.ca }, ...account, password: 'wrong' });
    const store = world.store(client, { ...HINTS_ONLY, random });
    const statuses = collect(store.status$);
    const ready = store.ready();
    const status = await statuses.next(({ link }) => link === 'unauthorized');
    expect(status.error).toMatchObject({ code: 'REFUSED', reply: 'WRONGPASS' });
    await expect(ready).rejects.toMatchObject({ reply: 'WRONGPASS' });
    client.options.password = account.password;
    await statuses.next(({ link }) => link === 'live');
    await store.save({ token: 'a' });
  });

  it('a server that does not speak TLS is unreachable, and the status shows the reason', async () => {
    const plain = track(await startRedis(), (one) => one.stop());
    const client = make({}, `rediss://127.0.0.1:${plain.port}`);
    const store = world.store(client, { random, readyTimeoutMs: 300, replyTimeoutMs: 200 });
    await expect(store.ready()).rejects.toMatchObject({ code: 'TIMEOUT' });
    await eventually(() => {
      expect(store.status).toMatchObject({ link: 'connecting', error: { code: 'UNAVAILABLE' } });
    });
    await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
