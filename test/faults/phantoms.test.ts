import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { commandCalls, countCommands } from '../support/command-counter.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { subscribers } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import {
  interruptions,
  KEY,
  NO_ROUNDS,
  saved,
  say,
  useFaults,
  type Watched,
} from './support/faults.js';

const { connect, proxy, startNotifying, watch } = useFaults();

const KEYSPACE = `__keyspace@0__:${KEY}`;
const ANNOUNCEMENTS = `credstream:0:${KEY}`;
/** Above the largest announcement, and what a message may well be in another application. */
const MEGABYTE = 'x'.repeat(2 ** 20);

const announce = (fields: Record<string, unknown>): string =>
  JSON.stringify({ kind: 'saved', instance: 'somebody', name: 'pod', at: Date.now(), ...fields });

const forged: readonly (readonly [what: string, channel: string, message: string | Buffer])[] = [
  ...['set', 'del', 'expired', 'evicted', 'expire', 'rename_from', 'restore', 'no such event'].map(
    (event) => [`keyspace event ${event}`, KEYSPACE, event] as const,
  ),
  ...['saved', 'cleared', 'expired', 'evicted', 'unreadable', 'no such kind'].map(
    (kind) => [`announcement of ${kind}`, ANNOUNCEMENTS, announce({ kind })] as const,
  ),
  ...[
    ['fields of other types', announce({ kind: 7, instance: ['x'], at: 'now', reason: { a: 1 } })],
    ['a value', announce({ kind: 'saved', credentials: 'forged', value: 'forged' })],
    ['a time far ahead', announce({ kind: 'cleared', at: 2 ** 60 })],
    ['a prototype', '{"kind":"cleared","__proto__":{"instance":"x"},"constructor":null}'],
    ['null', 'null'],
    ['an array', '["cleared"]'],
    ['half of an object', '{"kind":"cle'],
    ['nothing', ''],
    ['a megabyte', MEGABYTE],
    ['a megabyte of JSON', announce({ kind: 'cleared', reason: MEGABYTE })],
    ['deep nesting', '['.repeat(100_000)],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3])],
    ['protocol', '>3\r\n$7\r\nmessage\r\n'],
  ].map(
    ([what, message]) => [`announcement with ${String(what)}`, ANNOUNCEMENTS, message!] as const,
  ),
  ...['', MEGABYTE, Buffer.from([0xff, 0x80])].map(
    (message) => [`keyspace event of ${message.length} bytes`, KEYSPACE, message] as const,
  ),
];

describe.each(['present', 'absent'] as const)(
  'forged messages about a credential that is %s',
  (is) => {
    it('change nothing and emit nothing, whatever they contain', async () => {
      const server = await startNotifying();
      const admin = connect(server);
      if (is === 'present') await admin.set(KEY, 'v1', 'PX', 600_000);
      const watched = await watch(server, NO_ROUNDS);
      const { store, changes, states } = watched;
      const before = store.state;
      const own = await ownInstance(connect(server), watched, is);
      const all = [
        ...forged,
        ...['saved', 'cleared'].map(
          (kind) => [`own ${kind}`, ANNOUNCEMENTS, announce({ kind, instance: own })] as const,
        ),
      ];
      for (const [what, channel, message] of all) {
        expect([what, await admin.publish(channel, message)]).toEqual([what, 1]);
        await applied(watched);
        expect([what, store.state]).toEqual([what, before]);
      }
      expect(changes.values).toEqual([]);
      expect(states.values.filter(({ type }) => type !== 'unknown')).toEqual([before]);
      expect(interruptions(watched)).toEqual([]);
      // Deaf is not what it is.
      await admin.set(KEY, 'v2');
      expect(say(await changes.next())).toBe('saved v2');
    });
  },
);

it('forged hints do not label a later reading once they are refuted', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v1');
  const watched = await watch(server, { probeMs: 600_000 });
  await admin.publish(KEYSPACE, 'evicted');
  await admin.publish(ANNOUNCEMENTS, announce({ kind: 'cleared', reason: 'forged' }));
  await applied(watched);
  // Of this one nothing is told, so a label could only be an old one.
  await admin.flushall();
  const change = await watched.changes.next();
  expect(change).toMatchObject({ type: 'cleared', origin: 'unknown', reason: undefined });
});

it('messages about other keys and databases do not even cost a read', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v1');
  const watched = await watch(server, NO_ROUNDS);
  const { readCommand } = await abilitiesOf(admin);
  const counted = await countCommands(admin, async () => {
    for (const channel of [
      `__keyspace@1__:${KEY}`,
      `__keyspace@0__:${KEY}2`,
      '__keyspace@0__:',
      `__keyevent@0__:del`,
      `credstream:1:${KEY}`,
      'credstream:0:',
    ]) {
      expect(await admin.publish(channel, 'del')).toBe(0);
    }
    await admin.set('other', 'x');
    await admin.select(1);
    await admin.set(KEY, 'v of another database');
    await admin.select(0);
  });
  expect(counted.get(readCommand)).toBeUndefined();
  expect(watched.changes.values).toEqual([]);
  await admin.set(KEY, 'v2');
  expect(say(await watched.changes.next())).toBe('saved v2');
});

describe('a flood of forged hints', () => {
  it('costs one read in flight, later a paced one, and no memory', async () => {
    const server = await startNotifying();
    const network = await proxy(server);
    const admin = connect(server);
    const { readCommand } = await abilitiesOf(admin);
    await admin.set(KEY, 'v1');
    const { store, changes } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 60_000 });
    const subscriber = network.links.find(subscribers)!;
    let expected = subscriber.bytes.toClient;
    const heard = async (bytes: number): Promise<void> => {
      expected += bytes;
      await eventually(() => expect(subscriber.bytes.toClient).toBeGreaterThanOrEqual(expected));
    };
    const collectGarbage = garbageCollector();
    const floodedAt = performance.now();
    const counted = await countCommands(admin, async () => {
      network.pause('toServer', { select: subscribers });
      // The read for the first of these is on its way and gets nowhere.
      await heard(await flood(admin, 10_000, 'forged'));
      const before = heapAfter(collectGarbage);
      await heard(await flood(admin, 30_000, 'forged'));
      // Not even twenty bytes of each; the smallest object has more.
      expect(heapAfter(collectGarbage) - before).toBeLessThan(600_000);
      network.resume('toServer');
      await settled(admin);
    });
    // The store leaves a flooded channel, and reads every 100 ms instead.
    const seconds = (performance.now() - floodedAt) / 1_000;
    expect(counted.get(readCommand)).toBeLessThan(4 + 12 * seconds);
    expect(changes.values).toEqual([]);
    expect(store.current?.credentials).toBe('v1');
    await admin.set(KEY, 'v2');
    await changes.next(saved('v2'));
  });

  it('causes far fewer reads than hints on a fast link too', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { readCommand } = await abilitiesOf(admin);
    await admin.set(KEY, 'v1');
    const { changes } = await watch(server, NO_ROUNDS);
    const counted = await countCommands(admin, async () => {
      await flood(admin, 10_000, 'del');
      await settled(admin);
    });
    expect(counted.get(readCommand)).toBeGreaterThan(0);
    expect(counted.get(readCommand)).toBeLessThan(2_000);
    expect(changes.values).toEqual([]);
    await admin.set(KEY, 'v2');
    expect(say(await changes.next())).toBe('saved v2');
  });
});

/** The name under which the store announces its own writes; leaves everything as it was. */
async function ownInstance(
  subscriber: Redis,
  { store }: Watched,
  is: 'present' | 'absent',
): Promise<string> {
  const heard = new Promise<string>((resolve) => {
    subscriber.on('message', (_channel, message) => resolve(message));
  });
  await subscriber.subscribe(ANNOUNCEMENTS);
  // Writes that change nothing are announced too.
  if (is === 'absent') await store.clear();
  else await store.save('v1', { ttlSeconds: 'keep' });
  const { instance } = JSON.parse(await heard) as { instance: string };
  await subscriber.unsubscribe();
  return instance;
}

/**
 * Resolves when what was published before has been heard, and read for, and the answer taken in: all three travel over one
 * connection, and so do these reads.
 */
async function applied({ store }: Watched): Promise<void> {
  for (let round = 1; round <= 2; round += 1) {
    await store.read();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Returns how many bytes of messages each subscriber gets. By a script, as 10,000 commands would fill this process' memory. */
async function flood(admin: Redis, count: number, message: string): Promise<number> {
  const script = `for n = 1, ARGV[1] do redis.call('PUBLISH', KEYS[1], ARGV[2]) end`;
  await admin.eval(script, 1, KEYSPACE, count, message);
  return count * (KEYSPACE.length + message.length);
}

/** No reads come any more: what there is to read is read. */
async function settled(admin: Redis): Promise<void> {
  const { readCommand } = await abilitiesOf(admin);
  let reads = -1;
  let same = 0;
  await eventually(async () => {
    const calls = await commandCalls(admin);
    const found = calls.get(readCommand) ?? 0;
    same = found === reads ? same + 1 : 0;
    reads = found;
    return same >= 10;
  });
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

function heapAfter(collectGarbage: () => void): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
