import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import type { CredentialChange } from 'credstream';

import { uniqueKey } from '../support/redis.js';
import { endOf } from '../support/server-abilities.js';
import { nextEvent } from '../support/wait.js';
import { brings, bytesOf, ofType, type Token, useWorld } from './world.js';

const world = useWorld();

/** How far an end may be from what was asked for: Redis and this test round, and the command travels. */
const SLACK_MS = 100;

interface Expected {
  readonly type: CredentialChange<Token>['type'];
  readonly origin?: 'unknown';
  /** The token afterwards. */
  readonly token?: string;
  /** How long the credential is left with, or that it has no end. */
  readonly leftMs?: number | 'no end' | undefined;
}

interface Case {
  readonly does: string;
  /** What lies at the key before, and for how long. */
  readonly over: 'nothing' | 'a credential' | 'a credential with a TTL';
  readonly run: (redis: Redis, key: string) => Promise<unknown>;
  /** What the store tells of it; `nothing` when the credential is as it was. */
  readonly tells: Expected | 'nothing' | 'as the server calls it';
}

const OLD = bytesOf('old');
const NEW = bytesOf('new');
const HOUR = 3_600_000;

const saved = (leftMs: Expected['leftMs'] = 'no end', token = 'new'): Expected => ({
  type: 'saved',
  token,
  leftMs,
});
const renewed = (leftMs: Expected['leftMs']): Expected => ({
  type: 'renewed',
  token: 'old',
  leftMs,
});
const cleared: Expected = { type: 'cleared' };
const expired: Expected = { type: 'expired', origin: 'unknown' };

/** An EXPIRE in the past is `del` on Redis and `expired` on Valkey 8.1. A server is asked by doing it. */
async function pastExpiry(): Promise<Expected> {
  const [admin, key] = [world.connect(), uniqueKey('past')];
  const listener = world.connect();
  const name = nextEvent(listener, 'message');
  await admin.set(key, OLD);
  await listener.subscribe(`__keyspace@0__:${key}`);
  await admin.pexpireat(key, 1);
  const [, event] = await name;
  expect(['del', 'expired']).toContain(event);
  return event === 'del' ? cleared : expired;
}

/** Another key in the same database, holding a credential for an hour. */
async function neighbor(redis: Redis): Promise<string> {
  const key = uniqueKey('neighbor');
  await redis.set(key, NEW, 'PX', HOUR);
  return key;
}

async function dumped(redis: Redis): Promise<Buffer> {
  const key = await neighbor(redis);
  const dump = await redis.dumpBuffer(key);
  return dump;
}

const cases: readonly Case[] = [
  { does: 'SET', over: 'nothing', run: (r, k) => r.set(k, NEW), tells: saved() },
  { does: 'SET', over: 'a credential', run: (r, k) => r.set(k, NEW), tells: saved() },
  { does: 'SET', over: 'a credential with a TTL', run: (r, k) => r.set(k, NEW), tells: saved() },
  { does: 'SETEX', over: 'nothing', run: (r, k) => r.setex(k, 3600, NEW), tells: saved(HOUR) },
  { does: 'SETEX', over: 'a credential', run: (r, k) => r.setex(k, 3600, NEW), tells: saved(HOUR) },
  {
    does: 'SET EX',
    over: 'a credential with a TTL',
    run: (r, k) => r.set(k, NEW, 'EX', 60),
    tells: saved(60_000),
  },
  {
    does: 'SET KEEPTTL',
    over: 'a credential with a TTL',
    run: (r, k) => r.set(k, NEW, 'KEEPTTL'),
    tells: saved(HOUR),
  },
  {
    does: 'SET with the same bytes and a TTL',
    over: 'a credential',
    run: (r, k) => r.set(k, OLD, 'EX', 60),
    tells: renewed(60_000),
  },
  {
    does: 'SET with the same bytes and no TTL',
    over: 'a credential with a TTL',
    run: (r, k) => r.set(k, OLD),
    tells: renewed('no end'),
  },
  {
    does: 'SET with the same bytes',
    over: 'a credential',
    run: (r, k) => r.set(k, OLD),
    tells: 'nothing',
  },
  { does: 'SET NX', over: 'nothing', run: (r, k) => r.set(k, NEW, 'NX'), tells: saved() },
  { does: 'SET NX', over: 'a credential', run: (r, k) => r.set(k, NEW, 'NX'), tells: 'nothing' },
  { does: 'GETSET', over: 'nothing', run: (r, k) => r.getset(k, NEW), tells: saved() },
  {
    does: 'GETSET',
    over: 'a credential with a TTL',
    run: (r, k) => r.getset(k, NEW),
    tells: saved(),
  },
  {
    does: 'GETEX EX',
    over: 'a credential',
    run: (r, k) => r.getex(k, 'EX', 60),
    tells: renewed(60_000),
  },
  {
    does: 'GETEX PERSIST',
    over: 'a credential with a TTL',
    run: (r, k) => r.getex(k, 'PERSIST'),
    tells: renewed('no end'),
  },
  {
    does: 'GETEX without options',
    over: 'a credential with a TTL',
    run: (r, k) => r.getex(k),
    tells: 'nothing',
  },
  { does: 'EXPIRE', over: 'a credential', run: (r, k) => r.expire(k, 60), tells: renewed(60_000) },
  {
    does: 'EXPIRE earlier',
    over: 'a credential with a TTL',
    run: (r, k) => r.expire(k, 60),
    tells: renewed(60_000),
  },
  {
    does: 'EXPIRE later',
    over: 'a credential with a TTL',
    run: (r, k) => r.expire(k, 7200),
    tells: renewed(2 * HOUR),
  },
  {
    does: 'EXPIRE with the very same instant',
    over: 'a credential with a TTL',
    run: async (r, k) => r.pexpireat(k, await endOf(r, k)),
    tells: 'nothing',
  },
  { does: 'EXPIRE', over: 'nothing', run: (r, k) => r.expire(k, 60), tells: 'nothing' },
  {
    does: 'PEXPIREAT in the past',
    over: 'a credential',
    run: (r, k) => r.pexpireat(k, Date.now() - 60_000),
    tells: 'as the server calls it',
  },
  {
    does: 'PERSIST',
    over: 'a credential with a TTL',
    run: (r, k) => r.persist(k),
    tells: renewed('no end'),
  },
  { does: 'PERSIST', over: 'a credential', run: (r, k) => r.persist(k), tells: 'nothing' },
  {
    does: 'RENAME onto the key',
    over: 'nothing',
    run: async (r, k) => r.rename(await neighbor(r), k),
    tells: saved(HOUR),
  },
  {
    does: 'RENAME onto the key',
    over: 'a credential',
    run: async (r, k) => r.rename(await neighbor(r), k),
    tells: saved(HOUR),
  },
  {
    does: 'RENAME away from the key',
    over: 'a credential with a TTL',
    run: (r, k) => r.rename(k, uniqueKey('elsewhere')),
    tells: cleared,
  },
  {
    does: 'COPY onto the key',
    over: 'nothing',
    run: async (r, k) => r.copy(await neighbor(r), k),
    tells: saved(HOUR),
  },
  {
    does: 'COPY REPLACE onto the key',
    over: 'a credential',
    run: async (r, k) => r.copy(await neighbor(r), k, 'REPLACE'),
    tells: saved(HOUR),
  },
  {
    does: 'COPY from the key',
    over: 'a credential',
    run: (r, k) => r.copy(k, uniqueKey('copy')),
    tells: 'nothing',
  },
  {
    does: 'RESTORE',
    over: 'nothing',
    run: async (r, k) => r.restore(k, 60_000, await dumped(r)),
    tells: saved(60_000),
  },
  {
    does: 'RESTORE REPLACE',
    over: 'a credential with a TTL',
    run: async (r, k) => r.restore(k, 0, await dumped(r), 'REPLACE'),
    tells: saved(),
  },
  { does: 'GETDEL', over: 'a credential', run: (r, k) => r.getdel(k), tells: cleared },
  { does: 'GETDEL', over: 'nothing', run: (r, k) => r.getdel(k), tells: 'nothing' },
  { does: 'DEL', over: 'a credential with a TTL', run: (r, k) => r.del(k), tells: cleared },
  { does: 'DEL', over: 'nothing', run: (r, k) => r.del(k), tells: 'nothing' },
  { does: 'UNLINK', over: 'a credential', run: (r, k) => r.unlink(k), tells: cleared },
  {
    does: 'MOVE to another database',
    over: 'a credential',
    run: (r, k) => r.move(k, 9),
    tells: cleared,
  },
  {
    does: 'MOVE from another database',
    over: 'nothing',
    run: async (r, k) => r.multi().select(9).set(k, NEW).move(k, 0).select(0).exec(),
    tells: saved(),
  },
  {
    does: 'APPEND',
    over: 'nothing',
    run: (r, k) => r.append(k, NEW),
    tells: saved(),
  },
  {
    does: 'APPEND of white space, which is another credential to the byte',
    over: 'a credential with a TTL',
    run: (r, k) => r.append(k, ' '),
    tells: saved(HOUR, 'old'),
  },
  {
    does: 'APPEND of what JSON does not allow',
    over: 'a credential',
    run: (r, k) => r.append(k, '}'),
    tells: { type: 'unreadable' },
  },
  {
    does: 'SETRANGE',
    over: 'a credential',
    run: (r, k) => r.setrange(k, OLD.indexOf('old'), 'new'),
    tells: saved(),
  },
  {
    does: 'MSET',
    over: 'a credential',
    run: (r, k) => r.mset(uniqueKey(), 'x', k, NEW),
    tells: saved(),
  },
  {
    does: 'MULTI SET EXPIRE EXEC',
    over: 'nothing',
    run: (r, k) => r.multi().set(k, NEW).expire(k, 60).exec(),
    tells: saved(60_000),
  },
  {
    does: 'MULTI DEL SET EXEC',
    over: 'a credential with a TTL',
    run: (r, k) => r.multi().del(k).set(k, NEW).exec(),
    tells: saved(),
  },
  {
    does: 'MULTI SET DEL EXEC',
    over: 'a credential',
    run: (r, k) => r.multi().set(k, NEW).del(k).exec(),
    tells: cleared,
  },
  {
    does: 'MULTI SET DEL EXEC',
    over: 'nothing',
    run: (r, k) => r.multi().set(k, NEW).del(k).exec(),
    tells: 'nothing',
  },
  {
    does: 'a script that writes the key',
    over: 'a credential',
    run: (r, k) => r.eval(`return redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)`, 1, k, NEW),
    tells: saved(60_000),
  },
];

/** The end of what was given so long between two instants. */
const ofEnd = (leftMs: Expected['leftMs'], from: number, to: number): unknown =>
  leftMs === 'no end' || leftMs === undefined
    ? undefined
    : expect.toSatisfy(
        (end: number) => end > from + leftMs - SLACK_MS && end < to + leftMs + SLACK_MS,
      );

describe.each(cases)('$does over $over', ({ over, run, tells: told }) => {
  const outcome =
    typeof told === 'object'
      ? `is told as ${told.type}`
      : told === 'nothing'
        ? 'tells nothing'
        : `is told ${told}`;
  it(`by any client ${outcome}, once`, async () => {
    const tells = told === 'as the server calls it' ? await pastExpiry() : told;
    const redis = world.connect();
    const key = uniqueKey();
    const from = Date.now();
    if (over !== 'nothing') await redis.set(key, OLD, 'PX', HOUR);
    if (over === 'a credential') await redis.persist(key);
    const { store, changes } = await world.watch(world.connect(), { key });
    const before = store.current;
    expect(before?.credentials).toEqual(over === 'nothing' ? undefined : { token: 'old' });

    await run(redis, key);
    const to = Date.now();
    if (tells !== 'nothing') await changes.next();
    // Whatever else the command caused is told before this.
    await redis.set(key, bytesOf('last'));
    await changes.next(brings('last'));

    const [first, ...rest] = changes.values;
    if (tells === 'nothing') {
      expect(rest).toEqual([]);
      return;
    }
    const { type, token, leftMs, origin = 'out-of-band' } = tells;
    expect(first).toMatchObject({ id: key, type, origin, source: 'live' });
    expect(first?.previous).toBe(before);
    if (first?.type === 'saved' || first?.type === 'renewed') {
      expect(first.credentials).toEqual({ token });
      expect(first.snapshot.credentials).toEqual({ token });
      expect(first.expiresAt).toEqual(ofEnd(leftMs, from, to));
    }
    if (first?.type === 'unreadable') expect(first.error.reason).toBe('decode');
    expect(rest).toHaveLength(1);
  });
});

describe('a credential that expires', () => {
  it('is emitted as expired once, and a later write as saved', async () => {
    const redis = world.connect();
    const { key, changes } = await world.watch(world.connect());
    await redis.set(key, OLD, 'PX', 600);
    const first = await changes.next(ofType('saved'));
    const expired = await changes.next();
    await redis.set(key, NEW);
    const second = await changes.next();

    expect(changes.values.map(({ type }) => type)).toEqual(['saved', 'expired', 'saved']);
    expect(first).toMatchObject({ previous: undefined });
    expect(expired).toMatchObject({ type: 'expired', origin: 'unknown', previous: first.snapshot });
    expect(second.previous?.credentials).toEqual({ token: 'old' });
  });

  it('is emitted under its new value when it was overwritten before the next read, and never as cleared', async () => {
    const redis = world.connect();
    const key = uniqueKey();
    await redis.set(key, OLD);
    const { changes } = await world.watch(world.connect(), { key });
    await redis.pexpire(key, 600);
    await changes.next(ofType('renewed'));

    blockThisProcess(650);
    // Sent before the timer of the store, which is in this process too, can ask.
    await redis.set(key, NEW);
    const last = await changes.next(ofType('saved'));

    expect(last).toMatchObject({ credentials: { token: 'new' }, origin: 'out-of-band' });
    expect(last.previous?.credentials).toEqual({ token: 'old' });
    const between = changes.values.slice(1, -1).map(({ type }) => type);
    expect([[], ['expired']]).toContainEqual(between);
  });
});

function blockThisProcess(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
