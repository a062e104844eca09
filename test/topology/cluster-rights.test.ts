import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Cluster } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { both } from '../support/both.js';
import { Reauthenticator, RedisCredentialDirectory, RefusedError } from '../../src/index.js';
import { makeAuthority, makeServerCertificate } from '../support/certificates.js';
import { startRedisCluster } from '../support/redis-cluster/index.js';
import { abilitiesOf, rulesFor } from '../support/server-abilities.js';
import { collect, eventually } from '../support/wait.js';
import { brings, FAST, isLive, shown, useCluster } from './support/cluster-world.js';

const world = useCluster({ replicasPerMaster: 0 });

const PASSWORD = 'secret';
/** What docs/reference/security.md gives to a process with a Reauthenticator, for keys that begin with `app:`. */
const ONE_SERVER =
  '-@all +evalsha_ro +eval_ro +strlen +get +pexpiretime +time +multi +exec +set +del +publish +evalsha +eval +subscribe ' +
  '+unsubscribe ~app:* ~credstream:stage:{app:* ~credstream:cleared:{app:* ~credstream:attempt:{app:* resetchannels ' +
  '&credstream:0:app:* &__keyspace@0__:app:*';
/** What a cluster needs beside it. */
const CLUSTER =
  '+cluster|slots +cluster|info +asking ~credstream:epoch:* ~credstream:probe:* &__keyspace@0__:credstream:probe:*';
const DIRECTORY = '+psubscribe +punsubscribe +scan +cluster|nodes';

/** A user on all servers, as which `client` connects. */
class User {
  static #made = 0;
  readonly name = `user${String((User.#made += 1))}`;

  async set(...rules: string[]): Promise<void> {
    const all = rules.flatMap((rule) => rule.split(' '));
    for (const { admin } of world.cluster.servers)
      await admin.call('ACL', 'SETUSER', this.name, ...rulesFor(await abilitiesOf(admin), all));
  }

  client(): Cluster {
    return world.client({ redisOptions: { username: this.name, password: PASSWORD } });
  }

  /** How often each command was refused to it. */
  async refusalCounts(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { admin } of world.cluster.servers)
      for (const entry of (await admin.call('ACL', 'LOG', 1_000)) as unknown[][]) {
        const field = (name: string): string => String(entry[entry.indexOf(name) + 1]);
        const count = Number(field('count')) + (counts[field('object')] ?? 0);
        if (field('username') === this.name) counts[field('object')] = count;
      }
    return counts;
  }

  /** What was refused to it, but for what is of no consequence. */
  async refusals(): Promise<string[]> {
    const logs = await Promise.all(
      world.cluster.servers.map(({ admin }) => admin.call('ACL', 'LOG', 1_000)),
    );
    const entries = (logs as string[][][]).flat().map((entry) => {
      const field = (name: string): string => entry[entry.indexOf(name) + 1] ?? '';
      return { user: field('username'), text: `${field('reason')} ${field('object')}` };
    });
    const own = entries.filter(({ user }) => user === this.name).map(({ text }) => text);
    return [...new Set(own)].filter((text) => !/^command (client\||ping$)/.test(text)).sort();
  }
}

async function makeUser(...rules: string[]): Promise<User> {
  const user = new User();
  await user.set('reset', 'on', `>${PASSWORD}`, ...rules);
  return user;
}

/** A key below `app:` on each master. */
async function appKeys(name: string): Promise<string[]> {
  const masters = await world.cluster.masters();
  return Promise.all(masters.map((server) => world.cluster.keyOn(server, `app:${name}`)));
}

describe('a user with the fewest rights', () => {
  it('can use every feature, also while a slot moves, and is refused nothing', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER);
    const client = user.client();
    for (const key of await appKeys('all')) {
      const one = await world.watch(key, {}, client);
      await eventually(() => one.store.status.notifications === 'keyspace');
      await one.store.save('one', { onlyIf: 'absent', ttlSeconds: 1_000 });
      await one.store.update((text) => `${text!} two`);
      await one.changes.next(brings('one two'));
      await using reauthenticator = new Reauthenticator(one.store, {
        ...both(() => Promise.resolve('three')),
      });
      reauthenticator.reject(await reauthenticator.snapshot());
      await one.changes.next(brings('three'));
      const from = await world.cluster.ownerOf(key);
      const to = (await world.cluster.masters()).find((server) => server !== from)!;
      const move = world.cluster.moveOf(world.cluster.slotOf(key), from, to);
      await move.open();
      await move.moveKeys();
      expect(await one.store.load()).toBe('three');
      await one.store.save('four');
      await move.close();
      await world.cluster.settled();
      expect(await one.store.clear()).toBe(true);
      await one.changes.next(({ type }) => type === 'cleared');
      expect(shown(one)).toEqual(['one', 'one two', 'three', 'four', 'cleared']);
    }
    expect(await user.refusals()).toEqual([]);
  });

  it('can use a directory, with the rights for one', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER, DIRECTORY);
    const directory = world.track(
      new RedisCredentialDirectory<string>(user.client(), { prefix: 'app:', ...FAST }),
      (one) => one.close(),
    );
    const changes = collect(directory.changes$);
    await directory.ready();
    for (const key of await appKeys('directory')) {
      await directory.save(key.slice('app:'.length), 'x');
      await changes.next();
    }
    expect(await user.refusals()).toEqual([]);
  });

  it('is not refused the same command with every heartbeat', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER, DIRECTORY, '-cluster|info', '-cluster|nodes');
    const reads = async (): Promise<number> => {
      const { admin } = world.cluster.servers[0]!;
      return Number(
        /^cmdstat_cluster\|slots:calls=(\d+)/m.exec(await admin.info('commandstats'))?.[1],
      );
    };
    const keys = await appKeys('log');
    const client = user.client();
    for (const key of keys) await world.watch(key, { heartbeatMs: 20 }, client);
    const before = await reads();
    await eventually(async () => expect(await reads()).toBeGreaterThan(before + 25), {
      timeoutMs: 20_000,
    });
    for (const [refused, count] of Object.entries(await user.refusalCounts()))
      expect.soft({ refused, often: count > 12, count }).toMatchObject({ often: false });
  });

  it('need not be allowed CLUSTER INFO', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER, '-cluster|info');
    const [key] = await appKeys('info');
    const one = await world.watch(key!, {}, user.client());
    await one.store.save('x');
    await one.changes.next(brings('x'));
    expect(await user.refusals()).toEqual(['command cluster|info']);
  });
});

describe('missing rights', () => {
  it('to CLUSTER SLOTS: unauthorized, with an error that says so, until it is granted', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER, '-cluster|slots');
    const [key] = await appKeys('slots');
    const store = world.open(key!, {}, user.client());
    const statuses = collect(store.status$);
    const changes = collect(store.changes$);
    const status = await statuses.next(({ link }) => link === 'unauthorized');
    expect(status.error).toBeInstanceOf(RefusedError);
    expect(status.error).toMatchObject({ reply: 'NOPERM' });
    const refused = { code: 'REFUSED', reply: 'NOPERM' };
    await expect(store.load()).rejects.toMatchObject(refused);
    await expect(store.save('x')).rejects.toMatchObject(refused);
    await user.set('+cluster|slots');
    await statuses.next(isLive, 30_000);
    await store.save('y');
    await changes.next(brings('y'));
  });

  it('to CLUSTER SLOTS, revoked at run time: the store goes on where nothing moves', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER);
    const [key] = await appKeys('taken');
    const one = await world.watch(key!, {}, user.client());
    await user.set('-cluster|slots');
    await one.store.save('x');
    await one.changes.next(brings('x'));
    await world.reads();
    expect(isLive(one.store.status)).toBe(true);
    await one.store.save('y');
    await one.changes.next(brings('y'));
  });

  it('to ASKING: moving keys are refused, with the missing command in the error, until they have moved', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER, '-asking');
    const [key] = await appKeys('asking');
    const store = world.open(key!, {}, user.client());
    await store.save('x');
    const from = await world.cluster.ownerOf(key!);
    const to = (await world.cluster.masters()).find((server) => server !== from)!;
    const move = world.cluster.moveOf(world.cluster.slotOf(key!), from, to);
    await move.open();
    await move.moveKeys();
    const processed = async (): Promise<number> =>
      Number(/total_commands_processed:(\d+)/.exec(await to.admin.info('stats'))![1]);
    const before = await processed();
    const refused = { code: 'REFUSED', reply: 'NOPERM' };
    await expect(store.load()).rejects.toMatchObject(refused);
    await expect(store.save('y')).rejects.toMatchObject(refused);
    expect((await processed()) - before).toBeLessThan(100);
    await move.close();
    await world.cluster.settled();
    await eventually(async () => expect(await store.load()).toBe('x'));
  });

  it('to the key: unauthorized for that key alone, until it is granted', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER);
    const [key, other] = await appKeys('key');
    const client = user.client();
    const one = await world.watch(key!, {}, client);
    const unaffected = await world.watch(other!, {}, client);
    await one.store.save('x');
    await user.set('resetkeys', `~${other!}`, '~credstream:*');
    await one.statuses.next(({ link }) => link === 'unauthorized');
    await expect(one.store.load()).rejects.toMatchObject({ code: 'REFUSED', reply: 'NOPERM' });
    await unaffected.store.save('y');
    await unaffected.changes.next(brings('y'));
    expect(isLive(unaffected.store.status)).toBe(true);
    await user.set('~app:*');
    await one.statuses.next(isLive, 30_000);
    expect(shown(one)).toEqual(['x']);
  });

  it('by the password: unauthorized with the next connection, until the client has the new one', async () => {
    const user = await makeUser(ONE_SERVER, CLUSTER);
    const [key] = await appKeys('password');
    const client = user.client();
    const one = await world.watch(key!, {}, client);
    await one.store.save('x');
    await user.set('resetpass', '>another');
    for (const { admin } of world.cluster.servers)
      await admin.call('CLIENT', 'KILL', 'USER', user.name);
    const status = await one.statuses.next(({ link }) => link === 'unauthorized');
    expect(status).toMatchObject({ error: { code: 'REFUSED', reply: 'WRONGPASS' } });
    await expect(one.store.load()).rejects.toMatchObject({ code: 'REFUSED', reply: 'WRONGPASS' });
    client.options.redisOptions = { ...client.options.redisOptions, password: 'another' };
    await one.statuses.next(isLive, 30_000);
    await one.store.save('y');
    await one.changes.next(brings('y'));
    expect(shown(one)).toEqual(['x', 'y']);
  });
});

describe('a store in a cluster under TLS', () => {
  it('works, and refuses an untrusted certificate', async () => {
    const authority = await makeAuthority('credstream tests');
    const certificate = await makeServerCertificate(authority);
    const dir = await mkdtemp(join(tmpdir(), 'credstream-tls-'));
    world.track(dir, () => rm(dir, { recursive: true, force: true }));
    const file = async (name: string, content: string): Promise<string> => {
      await writeFile(join(dir, name), content, { mode: 0o600 });
      return join(dir, name);
    };
    const cluster = await startRedisCluster({
      replicasPerMaster: 0,
      config: { 'notify-keyspace-events': 'KEA' },
      tls: {
        cert: await file('redis.crt', certificate.cert),
        key: await file('redis.key', certificate.key),
        ca: await file('ca.crt', authority.cert),
      },
    });
    world.track(cluster, (one) => one.stop());
    const client = (ca?: string): Cluster =>
      world.track(
        cluster.client({
          lazyConnect: true,
          redisOptions: { tls: ca === undefined ? {} : { ca } },
        }),
        (one) => {
          one.disconnect();
        },
      );
    for (const server of await cluster.masters()) {
      const one = await world.watch(await cluster.keyOn(server), {}, client(authority.cert));
      await one.store.save('x');
      await one.changes.next(brings('x'));
      await server.admin.set(one.store.id, 'foreign');
      await one.changes.next(brings('foreign'));
    }
    const distrustful = world.open('key', {}, client());
    const statuses = collect(distrustful.status$);
    const watching = distrustful.changes$.subscribe();
    const { error } = await statuses.next((status) => status.error !== undefined);
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    expect((error!.cause as { code: string }).code).toMatch(/CERT|VERIFY/);
    watching.unsubscribe();
  });
});
