import { expect, test } from 'vitest';

import { Reauthenticator, RedisCredentialStore } from 'credstream';

import { both } from '../support/both.js';
import { useRedis } from '../support/redis.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import { collect, eventually } from '../support/wait.js';
import { readText } from './repository.js';

const redis = useRedis();

/** The rules as `docs/reference/security.md` prints them, by user. */
const text = await readText('docs/reference/security.md');
const rules = new Map(
  [...text.matchAll(/^ACL SETUSER (\S+) (.+)$/gm)].map((match) => [match[1]!, match[2]!]),
);

/** A server with the user, stores that are that user, and what Redis refused to it. */
async function enter(user: string, more: readonly string[] = []) {
  const server = await redis.startRedis({ config: { 'notify-keyspace-events': 'Kg$xe' } });
  const admin = redis.connect(server);
  const rule = rules.get(user);
  if (rule === undefined) throw new Error(`there are no rules for ${user}`);
  const words = rulesFor(await abilitiesOf(admin), [...rule.split(' '), ...more]);
  await admin.call('ACL', 'SETUSER', user, ...words);
  const client = redis.connect(server, {
    username: user,
    password: 'password',
    lazyConnect: true,
  });
  const open = (key: string): RedisCredentialStore<string> =>
    redis.track(new RedisCredentialStore<string>(client, { key, heartbeatMs: 20 }), (store) =>
      store.close(),
    );
  const refusals = async (): Promise<string[]> => {
    const log = (await admin.call('ACL', 'LOG')) as string[][];
    const refused = log.map((entry) => entry[entry.indexOf('object') + 1]!);
    // With RESP2 the heartbeat sends one. A refusal proves the link alive as well as an answer does.
    return refused.filter((one) => one !== 'ping');
  };
  return { admin, client, open, refusals };
}

async function expectEveryWrite(store: RedisCredentialStore<string>): Promise<void> {
  await store.save('a', { ttlSeconds: 60 });
  await store.update((current) => `${current!}b`);
  await store.save('c', { onlyIf: await store.read(), ttlSeconds: 'keep' });
  expect(await store.load()).toBe('c');
  expect(await store.clear()).toBe(true);
}

/** The scripts that a store tries first, and its name for the connection. */
const TRIED = /^(eval|evalsha|evalsha_ro|eval_ro|client\|setname)$/;

test('the rights of a watcher without scripts are enough to watch, and not to write', async () => {
  const { admin, open, refusals } = await enter('app-plain-watcher');
  const store = open('app:token');
  const changes = collect(store.changes$);
  await store.ready();
  await admin.set('app:token', '"a"');
  expect(await changes.next()).toMatchObject({ type: 'saved' });
  await admin.del('app:token');
  expect(await changes.next()).toMatchObject({ type: 'cleared' });
  const refused = await refusals();
  expect(refused.filter((one) => !TRIED.test(one) && !/:probe:|^set$/.test(one))).toEqual([]);
  await expect(store.save('b')).rejects.toMatchObject({ code: 'REFUSED', reply: 'NOPERM' });
});

test('the rights of a writer without scripts are enough for plain writes only', async () => {
  const { admin, open, refusals } = await enter('app-plain-writer');
  const store = open('app:token');
  expect(await store.save('a', { ttlSeconds: 60 })).toMatchObject({ announced: true });
  expect(await store.load()).toBe('a');
  const onlyIf = await store.read();
  await expect(store.save('c', { onlyIf })).rejects.toMatchObject({ code: 'REFUSED' });
  expect(await admin.get('app:token')).toBe('"a"');
  expect(await store.clear()).toBe(true);
  expect(await admin.keys('credstream:cleared:*')).toHaveLength(1);
  const refused = await refusals();
  expect(refused.filter((one) => !TRIED.test(one) && !one.includes(':stage:'))).toEqual([]);
});

test('a script reaches no key and no command outside of the rights of its user', async () => {
  const { admin, client } = await enter('app-writer');
  await admin.set('other', 'secret');
  const declared = client.eval("return redis.call('GET', KEYS[1])", 1, 'other');
  await expect(declared).rejects.toThrow(/^NOPERM/);
  // In the words of Redis 7.0, and of later servers.
  const refused = /user executing the script can.t|ACL failure in script/;
  const undeclared = client.eval("return redis.call('GET', 'other')", 0);
  await expect(undeclared).rejects.toThrow(refused);
  const command = client.eval("return redis.call('FLUSHALL')", 0);
  await expect(command).rejects.toThrow(refused);
});

test('a script that never ends stops Redis for everybody until it is killed', async () => {
  const { admin, client } = await enter('app-writer');
  await admin.config('SET', 'busy-reply-threshold', '50');
  const endless = client.eval('while true do end', 0).catch((error: unknown) => error);
  await eventually(() => expect(admin.get('app:token')).rejects.toThrow(/^BUSY/));
  await admin.script('KILL');
  expect(String(await endless)).toContain('Script killed by user');
});

test('the defaults of the server that the documents name are true', async () => {
  const { admin } = await enter('app-writer');
  const [, limits] = await admin.config('GET', 'client-output-buffer-limit');
  expect(limits).toMatch(/pubsub 33554432 8388608 60$/);
  expect(await admin.config('GET', 'busy-reply-threshold')).toContain('5000');
  expect(await admin.config('GET', 'acl-pubsub-default')).toContain('resetchannels');
});

test('the rights of a writer in the documents are enough to write in every way', async () => {
  const { open, refusals } = await enter('app-writer');
  await expectEveryWrite(open('app:token'));
  expect(await refusals()).toEqual(['client|setname']);
});

test('the rights that the documents add for replicas are enough to wait for replicas', async () => {
  const [, more = ''] = /For `replicas` .* add\s+`([^`]+)`/.exec(text) ?? [];
  const { open, refusals } = await enter('app-writer', more.split(' '));
  const store = open('app:token');
  const receipt = await store.save('a', { replicas: 1, replicaTimeoutMs: 1_000 });
  expect(receipt).toEqual({ announced: true, replicas: 0 });
  expect(await refusals()).toEqual(['client|setname']);
});

test('the rights of a watcher in the documents are enough to watch, and not to write', async () => {
  const { admin, open, refusals } = await enter('app-watcher');
  const [store, other] = [open('app:token'), open('app:other')];
  const changes = collect(store.changes$);
  await Promise.all([store.ready(), other.ready()]);
  await admin.set('app:token', '"a"');
  expect(await changes.next()).toMatchObject({ type: 'saved' });
  expect(store.status.notifications).toBe('keyspace');
  const refused = await refusals();
  expect(
    refused.filter((one) => !/^client\|setname$|:probe:|^set$|^eval(?:sha)?$/.test(one)),
  ).toEqual([]);
  await expect(store.save('b')).rejects.toMatchObject({ code: 'REFUSED', reply: 'NOPERM' });
});

test('the rights for both in the documents are enough for both', async () => {
  const { admin, open, refusals } = await enter('app-both');
  const [store, other] = [open('app:token'), open('app:other')];
  await Promise.all([store.ready(), other.ready()]);
  await eventually(() => expect(store.status.notifications).toBe('keyspace'));
  await eventually(async () => expect(await admin.exists('credstream:epoch')).toBe(1));
  await expectEveryWrite(store);
  expect(await refusals()).toEqual(['client|setname']);
});

test('the rights for re-authentication in the documents are enough for it', async () => {
  const { admin, open, refusals } = await enter('app-reauthenticator');
  const store = open('app:token');
  let calls = 0;
  const auth = new Reauthenticator<string>(store, {
    ...both(() => `token ${(calls += 1)}`),
    minIntervalMs: 10,
  });
  expect(await auth.credentials()).toBe('token 1');
  auth.reject(await auth.snapshot());
  expect(await auth.credentials()).toBe('token 2');
  await store.clear();
  await expect(auth.credentials()).rejects.toMatchObject({ reason: 'cleared' });
  expect(await admin.keys('credstream:cleared:*')).toEqual([
    'credstream:cleared:{app:token}:app:token',
  ]);
  // One that starts later has not seen the clear: the mark keeps it from undoing it.
  await auth.close();
  const next = new Reauthenticator<string>(
    open('app:token'),
    both(() => 'undone'),
  );
  await expect(next.credentials()).rejects.toMatchObject({ reason: 'cleared' });
  await expectEveryWrite(store);
  expect(await refusals()).toEqual(['client|setname']);
});

test('the documents name no other user', () => {
  const users = [
    'app-plain-watcher',
    'app-plain-writer',
    'app-writer',
    'app-watcher',
    'app-both',
    'app-reauthenticator',
    'orders',
  ];
  expect([...rules.keys()]).toEqual(users);
});
