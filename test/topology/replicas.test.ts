import { expect, it } from 'vitest';

import { RedisCredentialStore, UnavailableError } from '../../src/index.js';
import { FAST, isLive, isNotLive, KEY, listen, say, useFaults } from '../faults/support/faults.js';
import { noiseMs } from '../support/machine-noise.js';
import { eventually } from '../support/wait.js';

const { connect, open, startNotifying, track, watch } = useFaults();

const REPLICA = {
  code: 'UNAVAILABLE',
  message: expect.stringMatching(/^the Redis server at \S+ is a replica, not a master$/) as string,
};

it.each([
  ['RESP3', {}],
  ['RESP2', { protocol: 2 }],
] as const)(
  'a store notices that its server was made a replica, under %s',
  async (_name, options) => {
    const [server, other] = await Promise.all([startNotifying(), startNotifying()]);
    const admin = connect(server);
    const store = new RedisCredentialStore<string>(connect(server, options), {
      ...{ key: KEY, ...FAST, maxStalenessMs: Infinity },
    });
    track(store, () => store.close());
    const { statuses, changes } = listen(store);
    await store.ready();
    await statuses.next(isLive);
    await store.save('v1');
    await connect(other).set(KEY, '"of the other one"');
    const demotedAt = performance.now();
    await admin.replicaof(other.host, other.port);
    const status = await statuses.next(isNotLive);
    const bound = FAST.heartbeatMs + FAST.replyTimeoutMs + noiseMs();
    expect(performance.now() - demotedAt).toBeLessThan(bound);
    expect(status).toMatchObject({ freshness: 'stale', error: REPLICA });
    await eventually(() => expect(store.load()).rejects.toMatchObject(REPLICA));
    await expect(store.save('v2')).rejects.toBeInstanceOf(UnavailableError);
    expect(changes.values.map(say)).toEqual(['saved v1']);
    await admin.replicaof('NO', 'ONE');
    await statuses.next(isLive, 30_000);
    await store.save('v3');
    expect(await admin.get(KEY)).toBe('"v3"');
  },
);

it('a store neither reads from a replica nor watches one', async () => {
  const [server, other] = await Promise.all([startNotifying(), startNotifying()]);
  await connect(server).replicaof(other.host, other.port);
  const store = open(server);
  await expect(store.load()).rejects.toMatchObject(REPLICA);
  const watching = store.changes$.subscribe();
  await eventually(() => expect(store.status.error).toMatchObject(REPLICA));
  expect(store.status).toMatchObject({ link: 'connecting', freshness: 'unknown' });
  watching.unsubscribe();
});

it('a store notices a replica also without watching', async () => {
  const [server, other] = await Promise.all([startNotifying(), startNotifying()]);
  const store = open(server);
  await store.save('v1');
  await connect(server).replicaof(other.host, other.port);
  await eventually(() => expect(store.load()).rejects.toMatchObject(REPLICA));
});

it('a store accepts a server that does not know HELLO', async () => {
  const server = await startNotifying({ config: { 'rename-command HELLO': '' } });
  const { store, changes } = await watch(server);
  await store.save('v1');
  await changes.next(({ type }) => type === 'saved');
});
