import { beforeAll, describe, expect, it } from 'vitest';

import type { RedisCredentialStore } from 'credstream';

import { READ, READ_BY_PTTL } from '../../src/redis/commands/scripts.js';
import {
  countCommands,
  type MonitoredCommand,
  type MonitorRecording,
  recordMonitor,
} from '../support/command-counter.js';
import { uniqueKey } from '../support/redis.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { createTcpProxy, nonSubscribers } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import { brings, bytesOf, HINTS_ONLY, type Token, useWorld } from './world.js';

const world = useWorld();

/** A tombstone has a value of its own: the id of the instance and a number. */
const UNIQUE = /^[\da-f-]{36}:\d+$/;

/** How a read shows in a recording, whichever of its two commands and scripts the server takes. */
const A_READ = 'read';

/** The command that the library reads by; on a server without EVALSHA_RO it is also that of conditional writes. */
let readCommand: string;

beforeAll(async () => {
  ({ readCommand } = await abilitiesOf(world.connect()));
});

/** Live, and past everything that is done only once: probing, the first read of the key, the loading of scripts. */
async function steady(store: RedisCredentialStore<Token>): Promise<void> {
  await store.ready();
  await eventually(() => expect(store.status.notifications).toBe('keyspace'));
  await store.save({ token: 'first' });
  await store.update(() => ({ token: 'second' }));
}

async function record(): Promise<MonitorRecording> {
  return world.track(await recordMonitor(world.server), (recording) => recording.stop());
}

function nameOf({ args }: MonitoredCommand): string {
  const name = args[0]!.toLowerCase();
  const isRead = name === readCommand && [READ.sha, READ_BY_PTTL.sha].includes(args[1]!);
  return isRead ? A_READ : name;
}

/** What came over connections, not what scripts did. */
const sent = (lines: readonly MonitoredCommand[]): string[] =>
  lines.filter(({ source }) => source !== 'lua').map(nameOf);

const reads = (lines: readonly MonitoredCommand[]): MonitoredCommand[] =>
  lines.filter((line) => nameOf(line) === A_READ);

/** The notification can come a turn before the reply, on another connection, and is then a hint of its own. */
function expectFewReads(lines: readonly MonitoredCommand[], writes: number): void {
  expect(reads(lines).length).toBeGreaterThanOrEqual(writes);
  expect(reads(lines).length).toBeLessThanOrEqual(writes * 1.5);
}

describe('a save', () => {
  it('is one transaction, and one read by a watching store', async () => {
    const store = world.store(world.connect(), HINTS_ONLY);
    await steady(store);
    const recording = await record();
    const saves = 50;
    for (let number = 0; number < saves; number += 1) {
      await store.save({ token: String(number) }, { ttlSeconds: 60, reason: 'rotation' });
    }
    await recording.flush();
    const names = sent(recording.lines);
    // The first SET ends an earlier clear, and does nothing without one.
    const transaction = ['multi', 'set', 'set', 'publish', 'exec'];
    expect(names.filter((name) => name !== A_READ)).toEqual(Array(saves).fill(transaction).flat());
    expectFewReads(recording.lines, saves);
  });

  it('is one transaction and nothing else without a watcher', async () => {
    const store = world.store(world.connect());
    await store.save({ token: 'first' });
    const recording = await record();
    for (const token of ['a', 'b', 'c']) await store.save({ token });
    await recording.flush();
    const one = ['multi', 'set', 'set', 'publish', 'exec'];
    expect(sent(recording.lines)).toEqual([...one, ...one, ...one]);
  });

  it('waits for no reply in between: one round trip', async () => {
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const redis = world.connect();
    const store = world.store(world.connect({}, link.url), HINTS_ONLY);
    await steady(store);

    link.pause('toClient', { select: nonSubscribers });
    const save = store.save({ token: 'third' });
    await eventually(async () => expect(await redis.get(store.id)).toBe(bytesOf('third')));
    link.resume('toClient');
    await save;
  });

  it('with onlyIf is a staged copy and a script, and one read by a watching store', async () => {
    const store = world.store(world.connect(), HINTS_ONLY);
    await steady(store);
    const recording = await record();
    const saves = 20;
    for (let number = 0; number < saves; number += 1) {
      await store.save({ token: String(number) }, { onlyIf: store.current! });
    }
    await recording.flush();
    const names = sent(recording.lines);
    expect(names.filter((name) => name !== A_READ)).toEqual(
      Array(saves).fill(['set', 'evalsha']).flat(),
    );
    expectFewReads(recording.lines, saves);
  });

  it('with onlyIf waits for no reply in between: one round trip', async () => {
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const redis = world.connect();
    const store = world.store(world.connect({}, link.url), HINTS_ONLY);
    await steady(store);

    link.pause('toClient', { select: nonSubscribers });
    const save = store.save({ token: 'third' }, { onlyIf: store.current! });
    await eventually(async () => expect(await redis.get(store.id)).toBe(bytesOf('third')));
    link.resume('toClient');
    await save;
  });
});

describe('a clear', () => {
  it('reads the bytes to remove, leaves its tombstone, and is one transaction', async () => {
    const store = world.store(world.connect());
    await store.save({ token: 'a' });
    const recording = await record();
    expect(await store.clear()).toBe(true);
    await recording.flush();
    expect(sent(recording.lines)).toEqual([A_READ, 'multi', 'set', 'del', 'publish', 'exec']);
    const mark = recording.lines.find((line) => nameOf(line) === 'set');
    // No re-authentication undoes it for an hour.
    const name = `credstream:cleared:{${store.id}}:${store.id}`;
    expect(mark?.args.slice(1)).toEqual([name, expect.stringMatching(UNIQUE), 'PX', '3600000']);
  });

  it('waits for no reply between the tombstone and the removal: one round trip after the read', async () => {
    const link = await createTcpProxy({ target: world.server });
    world.track(link, () => link.close());
    const redis = world.connect();
    const store = world.store(world.connect({}, link.url), HINTS_ONLY);
    await steady(store);
    const recording = await record();

    const clear = store.clear();
    await eventually(() => reads(recording.lines).length > 0);
    link.pause('toClient', { select: nonSubscribers });
    await eventually(async () => expect(await redis.exists(store.id)).toBe(0));
    link.resume('toClient');
    expect(await clear).toBe(true);
  });
});

describe('a read', () => {
  it('costs one command', async () => {
    const store = world.store(world.connect());
    await store.load();
    const recording = await record();
    await store.load();
    await store.read();
    await recording.flush();
    expect(sent(recording.lines)).toEqual([A_READ, A_READ]);
  });

  it('costs no command from memory', async () => {
    const store = world.store(world.connect(), HINTS_ONLY);
    await steady(store);
    const recording = await record();
    for (let times = 0; times < 1_000; times += 1) {
      expect(store.current?.credentials).toEqual({ token: 'second' });
    }
    await recording.flush();
    expect(sent(recording.lines)).toEqual([]);
  });
});

describe('a change by another client', () => {
  it('costs each process one read', async () => {
    const redis = world.connect();
    const key = uniqueKey();
    const watchers = await Promise.all(
      Array.from({ length: 3 }, () => world.watch(world.connect(), { key })),
    );
    for (const { store } of watchers) await steady(store);
    const changes = 50;
    const counted = await countCommands(redis, async () => {
      for (let number = 0; number < changes; number += 1) {
        await redis.setex(key, 60 + number, bytesOf(String(number)));
        await Promise.all(watchers.map((one) => one.changes.next(brings(String(number)))));
      }
    });
    const reads = counted.get(readCommand)! / changes / watchers.length;
    expect(reads).toBeGreaterThanOrEqual(1);
    expect(reads).toBeLessThanOrEqual(1.2);
    // A read gets the key, and nothing else does.
    expect(counted.get('get')).toBe(counted.get(readCommand));
  });

  it('by a store costs no more for being announced as well as notified', async () => {
    const redis = world.connect();
    const watcher = await world.watch(world.connect());
    const writer = world.store(world.connect(), { key: watcher.key });
    await steady(watcher.store);
    await writer.save({ token: 'first' });
    const changes = 50;
    const counted = await countCommands(redis, async () => {
      for (let number = 0; number < changes; number += 1) {
        await writer.save({ token: String(number) }, { ttlSeconds: 60 + number });
        await watcher.changes.next(brings(String(number)));
      }
    });
    expect(counted.get(readCommand)! / changes).toBeLessThanOrEqual(1.2);
    // Each save also ends an earlier clear.
    expect(counted.get('set')).toBe(2 * changes);
  });

  it('in a burst costs fewer reads than changes', async () => {
    const redis = world.connect();
    const { store, key, changes } = await world.watch(world.connect());
    await steady(store);
    const counted = await countCommands(redis, async () => {
      const burst = redis.pipeline();
      for (let number = 0; number < 500; number += 1) burst.set(key, bytesOf(String(number)));
      await burst.exec();
      await changes.next(brings('499'));
    });
    expect(counted.get('set')).toBe(500);
    expect(counted.get(readCommand)).toBeLessThan(50);
  });
});

describe('an idle store', () => {
  const heartbeatMs = 50;
  const beats = 8;

  /** Timers are never early, but a busy machine can make the first one late: that much less lies between it and the last. */
  function expectOnePerHeartbeat(lines: readonly MonitoredCommand[]): void {
    const [first, last] = [lines[0]!, lines.at(-1)!];
    expect((last.at - first.at) * 1_000).toBeGreaterThan((lines.length - 2) * heartbeatMs);
  }

  /** A recording may begin or end between the two. */
  function expectRoleAskedBesideReads(lines: readonly MonitoredCommand[]): void {
    const names = sent(lines);
    const roles = names.filter((name) => name === 'hello').length;
    expect(names.filter((name) => name !== A_READ && name !== 'hello')).toEqual([]);
    expect(Math.abs(roles - reads(lines).length)).toBeLessThanOrEqual(1);
  }

  it('sends one read and one question for the role per heartbeat and no other', async () => {
    const { store } = await world.watch(world.connect(), { heartbeatMs });
    await steady(store);
    const recording = await record();
    await eventually(() => reads(recording.lines).length >= beats);
    expectRoleAskedBesideReads(recording.lines);
    expectOnePerHeartbeat(reads(recording.lines));
  });

  it('sends no more when many stores watch on the same client', async () => {
    const client = world.connect();
    const options = { ...HINTS_ONLY, heartbeatMs };
    const stores = Array.from({ length: 20 }, () => world.store(client, options));
    await Promise.all(stores.map((store) => steady(store)));
    const redis = world.connect();
    // Watchers of more than one key make it once.
    await eventually(async () => expect(await redis.exists('credstream:epoch')).toBe(1));
    const recording = await record();
    await eventually(() => reads(recording.lines).length >= beats);
    const taken = reads(recording.lines).slice(0, beats);
    expectRoleAskedBesideReads(recording.lines);
    expectOnePerHeartbeat(taken);
    // Each is the turn of another credential.
    expect(new Set(taken.map(({ args }) => args[3])).size).toBe(beats);
  });

  it('sends a PING beside it where the subscribed connection cannot read', async () => {
    const { store } = await world.watch(world.connect({ protocol: 2 }), { heartbeatMs });
    await steady(store);
    const recording = await record();
    const pings = (): MonitoredCommand[] =>
      recording.lines.filter((line) => nameOf(line) === 'ping');
    await eventually(() => pings().length >= beats);
    expectOnePerHeartbeat(pings());
    // The recording may end between the two.
    expect(reads(recording.lines).length).toBeLessThanOrEqual(pings().length + 1);
  });

  it('that watches nothing sends nothing', async () => {
    const watching = await world.watch(world.connect(), { heartbeatMs: 10 });
    await steady(watching.store);
    const store = world.store(world.connect(), { heartbeatMs: 10, pollMs: 10, probeMs: 10 });
    await store.save({ token: 'a' });
    const recording = await record();
    await eventually(() => reads(recording.lines).length >= 10);
    expect(new Set(reads(recording.lines).map(({ source }) => source)).size).toBe(1);
    expectRoleAskedBesideReads(recording.lines);
  });
});
