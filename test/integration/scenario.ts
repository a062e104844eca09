import type { Redis } from 'ioredis';
import { expect } from 'vitest';

import { ConflictError, derive, Reauthenticator } from 'credstream';

import { both } from '../support/both.js';
import { uniqueKey } from '../support/redis.js';
import { expectEndOf } from '../support/expect-end.js';
import { slowness } from '../support/slowness.js';
import { collect, eventually } from '../support/wait.js';
import { brings, bytesOf, HINTS_ONLY, ofType, type Token, type World } from './world.js';

/** What a setting in the matrix is: two processes, and somebody who looks from outside. */
export interface Setting {
  /** A client of the caller as this setting has it; another one each time. */
  readonly client: () => Redis;
  /** Sees the same database without any prefix, and may do anything. */
  readonly admin: Redis;
  /** What the client puts in front of keys. */
  readonly keyPrefix?: string;
  /** What keys have to begin with. Default: anything. */
  readonly prefix?: string;
  /** What `announced` is to be. Default: true. */
  readonly announced?: boolean;
  /** Whether keyspace notifications are on and may be received. Default: true. */
  readonly notified?: boolean;
  /** Ends the connections of the stores, so that they have to connect again. */
  readonly disconnect?: () => Promise<unknown>;
  /** Set where the server has no replica, or WAIT is refused. */
  readonly replicas?: object;
}

/**
 * Everything a store does, one after the other: save, observe, renew, expire, clear, conditional writes, update, replicas, derive,
 * re-authentication, reconnecting. It must come out the same in every setting.
 */
export async function expectScenario(world: World, setting: Setting): Promise<void> {
  const { admin, announced = true, notified = true } = setting;
  const key = `${setting.prefix ?? ''}${uniqueKey()}`;
  const full = (setting.keyPrefix ?? '') + key;
  const options = { ...HINTS_ONLY, ...(notified ? {} : { pollMs: 50 }), random: () => 0, key };
  // Two clients act as two processes.
  const [here, there] = [setting.client(), setting.client()];
  const { store, changes } = await world.watch(here, options);
  const other = world.store(there, options);

  // Saving and observing, own writes and those of others.
  expect(await store.save({ token: 'a' }, { ttlSeconds: 60 })).toEqual({ announced });
  expect(await admin.get(full)).toBe(bytesOf('a'));
  expect(store.current?.credentials).toEqual({ token: 'a' });
  await changes.next(brings('a'));
  await other.save({ token: 'b' }, { reason: 'rotation', ttlSeconds: 60 });
  expect(await changes.next(brings('b'))).toMatchObject({
    id: key,
    ...(announced && { reason: 'rotation' }),
  });
  await admin.set(full, bytesOf('c'), 'EX', 60);
  await changes.next(brings('c'));
  if (notified) await eventually(() => expect(store.status.notifications).toBe('keyspace'));

  // Renewed: the same bytes with another end.
  await admin.expire(full, 600);
  const renewed = await changes.next(ofType('renewed'));
  expect(renewed.snapshot.credentials).toEqual({ token: 'c' });
  await expectEndOf(admin, full, (await other.read())?.expiresAt);

  // Conditional writes.
  const seen = await other.read();
  await other.save({ token: 'd' }, { onlyIf: seen });
  await changes.next(brings('d'));
  await expect(store.save({ token: 'x' }, { onlyIf: seen })).rejects.toThrow(ConflictError);
  await expect(store.save({ token: 'x' }, { onlyIf: 'absent' })).rejects.toThrow(ConflictError);
  expect(await store.update((now) => ({ token: `${now!.token}e` }))).toMatchObject({
    written: true,
    attempts: 1,
  });
  expect(store.current?.credentials).toEqual({ token: 'de' });
  await changes.next(brings('de'));

  // Replicas: how many there are, or why nobody can tell.
  // Nobody replicates, so all of it is waited for, and a connection of its own is opened within it.
  const replicaTimeoutMs = 250 * slowness();
  const replicated = await store.save({ token: 'f' }, { replicas: 1, replicaTimeoutMs });
  expect(replicated).toMatchObject(setting.replicas ?? { replicas: 0, replicasError: undefined });
  await changes.next(brings('f'));

  // Cleared, and what is built from the credential follows.
  const disposed: string[] = [];
  const derived = world.track(
    derive(store, ({ token }) => `client of ${token}`, {
      dispose: (value) => void disposed.push(value),
    }),
    (one) => one.close(),
  );
  expect(await derived.use((value) => value)).toBe('client of f');
  await other.save({ token: 'g' });
  await eventually(async () => expect(await derived.use((value) => value)).toBe('client of g'));
  expect(await other.clear({ reason: 'logout' })).toBe(true);
  await changes.next(ofType('cleared'));
  expect(await admin.exists(full)).toBe(0);
  await eventually(() => expect(disposed).toEqual(['client of f', 'client of g']));

  // Expired, at its end and not before.
  await other.save({ token: 'h' }, { onlyIf: 'absent' });
  await changes.next(brings('h'));
  // A notification tells of the end also afterwards; by polling it has to be seen before.
  await admin.pexpire(full, notified ? 150 : 800);
  const expired = await changes.next(ofType('expired'));
  expect(expired.at).toBeGreaterThanOrEqual(expired.expiresAt!);
  expect(store.current).toBeUndefined();

  // Re-authentication by one of two.
  let logins = 0;
  const authenticators = [store, other].map((one) =>
    world.track(
      new Reauthenticator<Token>(one, {
        ...both(() => Promise.resolve({ token: `login ${String((logins += 1))}` })),
        whenCleared: 'login',
        minIntervalMs: 10,
      }),
      (auth) => auth.close(),
    ),
  );
  expect(await Promise.all(authenticators.map((auth) => auth.credentials()))).toEqual([
    { token: 'login 1' },
    { token: 'login 1' },
  ]);
  await changes.next(brings('login 1'));
  for (const auth of authenticators) await auth.close();

  // Reconnecting: what was written meanwhile is found.
  const disconnectStores =
    setting.disconnect ?? (() => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
  const statuses = collect(store.status$);
  await disconnectStores();
  await statuses.next(({ link }) => link !== 'live');
  await admin.set(full, bytesOf('i'));
  expect(await changes.next(brings('i'))).toMatchObject({ source: 'resync' });
  await statuses.next(({ link }) => link === 'live');
  await admin.set(full, bytesOf('j'));
  expect(await changes.next(brings('j'))).toMatchObject({ source: 'live' });
  expect(store.status).toMatchObject({ link: 'live', freshness: 'fresh', error: undefined });
}
