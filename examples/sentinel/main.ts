/**
 * Sentinel: the master dies, the sentinels make a replica the master, and the store follows. Nothing but the client is special: it is
 * given the sentinels instead of a server.
 *
 *   npx tsx examples/sentinel/main.ts
 *
 * Starts a master, two replicas and three sentinels of its own, which takes a redis-server on this machine.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { Redis } from 'ioredis';
import { distinctUntilChanged, filter, firstValueFrom, map, startWith } from 'rxjs';

import { RedisCredentialStore, UnavailableError } from 'credstream';

import { startSentinelSet } from '../../test/support/redis-sentinel/index.js';

interface ApiKey {
  readonly apiKey: string;
}

await using servers = await startSentinelSet({ config: { 'notify-keyspace-events': 'Kg$xe' } });
const first = await servers.master();
console.log('a master, two replicas and three sentinels are running');

const redis = new Redis({
  sentinels: servers.sentinels.map(({ host, port }) => ({ host, port })),
  name: servers.name,
});
redis.on('error', () => {
  // Your client loses the master too. It is yours to listen to.
});

{
  await using store = new RedisCredentialStore<ApiKey>(redis, {
    key: 'example:billing:api-key',
    heartbeatMs: 500,
    replyTimeoutMs: 500,
  });
  store.changes$.subscribe(({ type }) => {
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

  await store.ready();
  await store.save({ apiKey: 'secret-key-1' });
  // Redis replicates after it has answered: what it has not replicated is lost with the master.
  await servers.replicated(first);

  const lost = firstValueFrom(store.status$.pipe(filter(({ link }) => link !== 'live')));
  await first.process.kill();
  console.log('the master was killed');
  await lost;
  console.log(`still known: ${String(store.current?.credentials.apiKey.length)} characters`);

  const second = await servers.waitForMaster(first);
  console.log('the sentinels have made a replica the master');
  await saveWhenPossible(store, { apiKey: 'secret-key-2' });
  await firstValueFrom(
    store.changes$.pipe(
      startWith(undefined),
      filter(() => store.current?.credentials.apiKey === 'secret-key-2'),
    ),
  );
  const stored = await second.admin.get('example:billing:api-key');
  console.log(`the new master has ${String(stored?.length)} bytes`);
  await store.clear();
}
redis.disconnect();

/** A save that was refused because there is no master has not happened, and may be made again. */
async function saveWhenPossible(
  store: RedisCredentialStore<ApiKey>,
  credentials: ApiKey,
): Promise<void> {
  for (;;) {
    try {
      await store.save(credentials);
      return;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      await delay(100);
    }
  }
}
