/**
 * Redis Cluster: keys are spread over several masters, a slot moves from one to another, a master dies and its replica takes over. Stores and
 * directories follow. Nothing but the client is special: it is a `Cluster`.
 *
 *   npx tsx examples/cluster/main.ts
 *
 * Starts three masters and three replicas of its own, which takes a redis-server on this machine.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { Cluster } from 'ioredis';
import { distinctUntilChanged, filter, firstValueFrom, map, startWith, take, toArray } from 'rxjs';

import {
  OutcomeUnknownError,
  RedisCredentialDirectory,
  RedisCredentialStore,
  UnavailableError,
} from 'credstream';

import { startRedisCluster } from '../../test/support/redis-cluster/index.js';

interface ApiKey {
  readonly apiKey: string;
}

const TENANTS = ['acme', 'stark', 'umbrella'];
const KEY = 'example:billing:api-key';

await using cluster = await startRedisCluster({ config: { 'notify-keyspace-events': 'Kg$xe' } });
console.log('three masters and three replicas are running');

// Some of the servers are enough; the others are found out.
const redis = new Cluster(cluster.servers.slice(0, 3).map(({ host, port }) => ({ host, port })));
redis.on('error', () => {
  // Your client loses the master too. It is yours to listen to.
});

{
  const soon = { heartbeatMs: 500, replyTimeoutMs: 500 };
  await using store = new RedisCredentialStore<ApiKey>(redis, { key: KEY, ...soon });
  await using tenants = new RedisCredentialDirectory<ApiKey>(redis, {
    prefix: 'example:tenant:',
    ...soon,
  });
  let told = 0;
  store.changes$.subscribe(({ type }) => {
    told += 1;
    console.log(`change: ${type}`);
  });
  store.status$
    .pipe(
      map(({ link }) => link),
      distinctUntilChanged(),
    )
    .subscribe((link) => {
      console.log(`link: ${link}`);
    });
  await Promise.all([store.ready(), tenants.ready()]);

  // One directory, whichever master has which of its keys.
  const heard = firstValueFrom(tenants.changes$.pipe(take(TENANTS.length), toArray()));
  for (const tenant of TENANTS) await tenants.save(tenant, { apiKey: `secret-${tenant}` });
  const owners = await Promise.all(TENANTS.map((id) => cluster.ownerOf(`example:tenant:${id}`)));
  const ids = (await heard).map(({ id }) => id).sort();
  console.log(`heard of ${ids.join(', ')}, which are on ${new Set(owners).size} masters`);

  // Redis replicates after it has answered: what it has not replicated is lost with the master.
  const { replicas } = await store.save({ apiKey: 'secret-key-1' }, { replicas: 1 });
  console.log(`replicas that have it: ${replicas}`);

  const first = await cluster.ownerOf(KEY);
  const second = (await cluster.masters()).find((server) => server !== first);
  if (second === undefined) throw new Error('the cluster has one master only');
  const before = told;
  // The old master deletes the key in the end, and says so. That is no change.
  await cluster.migrateSlot(cluster.slotOf(KEY), first, second);
  console.log(`the slot of the key has moved to another master, changes told: ${told - before}`);
  await saveAndSee(store, { apiKey: 'secret-key-2' }, { replicas: 1 });

  const lost = firstValueFrom(store.status$.pipe(filter(({ link }) => link !== 'live')));
  await second.process.kill();
  console.log('that master was killed');
  await lost;
  console.log(`still known: ${String(store.current?.credentials.apiKey.length)} characters`);

  const heir = await cluster.takeover(second, KEY);
  console.log('its replica has taken over');
  await saveAndSee(store, { apiKey: 'secret-key-3' });
  const stored = await heir.admin.get(KEY);
  console.log(`the new master has ${String(stored?.length)} bytes`);

  await store.clear();
  const { cleared } = await tenants.clearAll();
  console.log(`tenants cleared: ${cleared}`);
}
redis.disconnect();

/** Saves, and waits until this process shows it; without a link, `save` does not wait for that. */
async function saveAndSee(
  store: RedisCredentialStore<ApiKey>,
  credentials: ApiKey,
  options: { readonly replicas?: number } = {},
): Promise<void> {
  await saveWhenPossible(store, credentials, options);
  await firstValueFrom(
    store.changes$.pipe(
      startWith(undefined),
      filter(() => store.current?.credentials.apiKey === credentials.apiKey),
    ),
  );
}

/** While there is no master a save fails. This one may be made twice: both write the same. */
async function saveWhenPossible(
  store: RedisCredentialStore<ApiKey>,
  credentials: ApiKey,
  options: { readonly replicas?: number },
): Promise<void> {
  for (;;) {
    try {
      await store.save(credentials, options);
      return;
    } catch (error) {
      const passing = error instanceof UnavailableError || error instanceof OutcomeUnknownError;
      if (!passing) throw error;
      await delay(100);
    }
  }
}
