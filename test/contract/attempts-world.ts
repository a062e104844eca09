import { createHash, randomUUID } from 'node:crypto';

import type { Redis } from 'ioredis';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';

import { CredentialMemory, MemoryCredentialStore, RedisCredentialStore } from 'credstream';
import { VirtualClock } from 'credstream/testing';

import { AttemptVerbs } from '../../src/backend/attempt-verbs.js';
import type { CommitAttempt, EndAttempt, StartAttempt } from '../../src/backend/attempts.js';
import { internalsOf } from '../../src/stores/observable-credential-store.js';
import type { Backend } from '../../src/backend/backend.js';
import { connect, disconnect, type RedisTarget, startRedis, uniqueKey } from '../support/redis.js';
import type { RedisServer } from '../support/redis-server/index.js';
import { deferred, eventually } from '../support/wait.js';

export const LEASE_MS = 60_000;
/** So short that a real server need not be waited for. */
export const INTERVAL_MS = 10;

type Store = MemoryCredentialStore<string> | RedisCredentialStore<string>;

/** One credential, three instances, and some other client that acts directly on what is stored. */
export interface AttemptWorld {
  readonly key: string;
  readonly stores: readonly Store[];
  readonly outside: {
    get(key: string): Promise<string | undefined>;
    set(key: string, value: string | Buffer, ttlMs?: number): Promise<void>;
    delete(key: string): Promise<void>;
    ttlMs(key: string): Promise<number | undefined>;
    flush(): Promise<void>;
  };
  /** Where the record of the last attempt lies. */
  readonly recordKey: string;
  /** Lets time pass by the clock of the server. */
  advance(ms: number): Promise<void>;
  now(): Promise<number>;
  close(): Promise<void>;
}

const codec = {
  serialize: (text: string) => text,
  deserialize: (bytes: Buffer) => bytes.toString(),
};

export async function memoryWorld(): Promise<AttemptWorld> {
  const clock = new VirtualClock();
  const memory = new CredentialMemory({ clock });
  const key = uniqueKey();
  const open = () => new MemoryCredentialStore<string>({ key, memory: memory, ...codec });
  const stores = [open(), open(), open()];
  return {
    key,
    stores,
    recordKey: `credstream:attempt:${key}`,
    outside: {
      get: async (at) => memory.get(at)?.toString(),
      set: async (at, value, ttlMs) => {
        memory.set(at, value, ttlMs === undefined ? {} : { ttlMs });
      },
      delete: async (at) => {
        memory.delete(at);
      },
      ttlMs: async (at) => memory.ttlMs(at),
      flush: async () => {
        memory.flush();
      },
    },
    advance: (ms) => clock.advance(ms),
    now: async () => clock.now(),
    close: async () => {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

/** @param key - on a server of one's own, because its data are flushed */
export async function redisWorld(target: RedisTarget, key = uniqueKey()): Promise<AttemptWorld> {
  const clients: Redis[] = [];
  const client = (): Redis => {
    const one = connect(target);
    clients.push(one);
    return one;
  };
  const admin = client();
  const open = () => new RedisCredentialStore<string>(client(), { key, ...codec });
  const stores = [open(), open(), open()];
  const now = async (): Promise<number> => {
    const [seconds, micros] = await admin.time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  };
  return {
    key,
    stores,
    recordKey: `credstream:attempt:{${key}}:${key}`,
    outside: {
      get: async (at) => (await admin.getBuffer(at))?.toString(),
      set: async (at, value, ttlMs) => {
        await (ttlMs === undefined ? admin.set(at, value) : admin.set(at, value, 'PX', ttlMs));
      },
      delete: async (at) => {
        await admin.del(at);
      },
      ttlMs: async (at) => {
        const left = await admin.pttl(at);
        return left < 0 ? undefined : left;
      },
      flush: async () => {
        await admin.flushall();
      },
    },
    advance: async (ms) => {
      const until = (await now()) + ms;
      // A short wait is over before a pause between two reads would be.
      if (ms <= 20) while ((await now()) < until);
      else await eventually(async () => expect(await now()).toBeGreaterThanOrEqual(until));
    },
    now,
    close: async () => {
      await Promise.all(stores.map((store) => store.close()));
      await Promise.all(clients.map(disconnect));
    },
  };
}

export function backendOf(world: AttemptWorld, instance = 0): Backend {
  return internalsOf(world.stores[instance]!).backend;
}

/** An announcement about an attempt, as an instance that takes no part hears it. */
export interface ReceivedAnnouncement {
  readonly kind: 'saved' | 'attempt';
  /** The instance that announced it, where it says so. */
  readonly by: string | undefined;
}

/** Hears the announcements about the credential of a world, from when this resolves. */
export async function hearAnnouncements(world: AttemptWorld, instance = 2) {
  const { promise: live, resolve } = deferred();
  let received: ReceivedAnnouncement[] = [];
  const subscription = backendOf(world, instance).subscribe(world, {
    size: 1,
    maxStalenessMs: Infinity,
    hint: (_key, hint) => {
      if (hint.type === 'attempt') received.push({ kind: 'attempt', by: undefined });
      // What others than the attempts do comes without an instance, or is a removal.
      else if (hint.type === 'written' && typeof hint.origin === 'object')
        received.push({ kind: 'saved', by: hint.origin.instance });
    },
    conditionChanged: ({ link }) => {
      if (link === 'live') resolve();
    },
    pollNext: () => 'none',
    pollAll: () => 'none',
  });
  await world.advance(1);
  await live;
  return {
    /** All that came since the last time; what was announced before is in. */
    take: async (): Promise<ReceivedAnnouncement[]> => {
      await subscription.read(world.key, 0);
      const all = received;
      received = [];
      return all;
    },
  };
}

/** What one instance says, with everything filled in that a test does not care about. */
export interface Speaker {
  readonly backend: AttemptVerbs;
  readonly instance: string;
  start(id: string, more?: Partial<StartAttempt>): ReturnType<AttemptVerbs['start']>;
  renew(id: string, leaseMs?: number): ReturnType<AttemptVerbs['renew']>;
  commit(
    id: string,
    bytes: string,
    expected: string | undefined,
    more?: Partial<CommitAttempt>,
  ): ReturnType<AttemptVerbs['commit']>;
  end(id: string, outcome: EndAttempt['outcome'], more?: Partial<EndAttempt>): Promise<void>;
  settle(id: string, storedAt?: number): Promise<void>;
}

/** The attempts that started from nothing, as each instance remembers of its own. */
const fromNothing = new WeakMap<AttemptWorld, Set<string>>();

/** For a world that begins anew. */
export function forgetStarts(world: AttemptWorld): void {
  fromNothing.delete(world);
}

export function speaker(world: AttemptWorld, instance = 0): Speaker {
  const own = fromNothing.get(world) ?? new Set<string>();
  fromNothing.set(world, own);
  const { key } = world;
  const place = backendOf(world, instance);
  const backend = new AttemptVerbs(place);
  const common = { key, number: 7, failures: 0 };
  return {
    backend,
    instance: place.instance,
    start: async (id, more = {}) => {
      const start = await backend.start({
        key,
        id,
        leaseMs: LEASE_MS,
        minIntervalMs: INTERVAL_MS,
        endsAt: undefined,
        clearedBefore: undefined,
        ...more,
      });
      if (start.type === 'started' && start.record.startedFromNothing === true) own.add(id);
      return start;
    },
    renew: (id, leaseMs = LEASE_MS) =>
      backend.renew({ ...common, id, leaseMs, startedFromNothing: own.has(id) }),
    commit: async (id, bytes, expected, more = {}) =>
      backend.commit({
        ...common,
        id,
        bytes: Buffer.from(bytes),
        ttl: 'none',
        expected: expected === undefined ? 'absent' : { digest: sha1(expected) },
        startedFromNothing: own.has(id),
        startedAt: await world.now(),
        pauseMs: 0,
        ...more,
      }),
    end: (id, outcome, more = {}) =>
      backend.end({
        ...common,
        id,
        outcome,
        pauseMs: 0,
        endsAt: undefined,
        oauthError: undefined,
        ...more,
      }),
    settle: (id, storedAt) => backend.settle({ key, id, storedAt }),
  };
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

export const newId = (): string => randomUUID();

/** What a test has at hand: a fresh credential, of which `old` is stored, and two instances that speak. */
export interface AttemptScene {
  readonly world: AttemptWorld;
  readonly one: Speaker;
  readonly two: Speaker;
}

/** Runs the same tests on both backends. */
export function onBothBackends(title: string, body: (scene: AttemptScene) => void): void {
  let server: RedisServer;
  let now: AttemptScene;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());
  describe.each([
    { place: 'a memory', open: () => memoryWorld() },
    { place: 'Redis', open: () => redisWorld(server) },
  ])(`${title} in $place`, ({ open }) => {
    beforeEach(async () => {
      const world = await open();
      now = { world, one: speaker(world, 0), two: speaker(world, 1) };
      await world.outside.set(world.key, 'old');
    });
    afterEach(() => now.world.close());
    body({
      get world() {
        return now.world;
      },
      get one() {
        return now.one;
      },
      get two() {
        return now.two;
      },
    });
  });
}
