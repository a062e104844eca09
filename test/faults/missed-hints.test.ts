import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { RedisCredentialDirectory } from '../../src/index.js';
import { expectWithin } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import {
  interruptions,
  isLive,
  NO_ROUNDS,
  say,
  useFaults,
  type Watched,
} from './support/faults.js';
import { watchKeys } from './support/many.js';

const { connect, startNotifying, track } = useFaults();

/** A busy machine must not look like a dead server, nor as one without notifications: no probe comes a second time. */
const PATIENT = { ...NO_ROUNDS, replyTimeoutMs: 10_000 } as const;

const FLAGS = 'notify-keyspace-events';
const KEYS = Array.from({ length: 40 }, (_, index) => `token:${index}`);

/** Writes in the absence of notifications, which no probe notices. */
async function writeUnseen(admin: Redis, values: Readonly<Record<string, string>>): Promise<void> {
  await admin
    .multi()
    .config('SET', FLAGS, '')
    .mset(...Object.entries(values).flat())
    .config('SET', FLAGS, 'KEA')
    .exec();
}

async function watchAll(
  server: { readonly url: string },
  options: Parameters<typeof watchKeys>[2],
): Promise<readonly Watched[]> {
  const watched = watchKeys(connect(server, { lazyConnect: true }), KEYS, options);
  for (const { store } of watched) track(store, () => store.close());
  for (const { statuses } of watched) await statuses.next(isLive);
  return watched;
}

describe('messages lost on a living link', () => {
  it('make a store read everything once the heartbeat has found one of the changes', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const watched = await watchAll(server, { ...PATIENT, heartbeatMs: 100 });
    await writeUnseen(admin, Object.fromEntries(KEYS.map((key) => [key, 'v1'])));
    for (const { changes } of watched) await changes.next();
    // The heartbeat reads one after the other, and finds each it reads; some may be under way when the first is known.
    const found = watched.filter(({ changes }) => changes.values[0]?.source === 'live');
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThan(KEYS.length / 4);
    expect(watched.map(({ changes }) => changes.values.map(say))).toEqual(
      KEYS.map(() => ['saved v1']),
    );
  });

  it('delay a single change by no more than the bound, which the sweep keeps', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const watched = await watchAll(server, { ...PATIENT, heartbeatMs: 1_000, sweepMs: 2_000 });
    const { store, changes } = watched.at(-1)!;
    // One key with each heartbeat would take 40 s.
    const maxLagMs = 2_000 + 1_000 + PATIENT.replyTimeoutMs;
    await eventually(() => expect(store.status.maxLagMs).toBe(maxLagMs));
    await writeUnseen(admin, { [store.id]: 'v1' });
    expect(say(await expectWithin(maxLagMs, () => changes.next()))).toBe('saved v1');
  });

  it('are not suspected because of ends and own writes', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const [short, own] = KEYS;
    const watched = await watchAll(server, { ...PATIENT, heartbeatMs: 10 });
    const ended = watched.find(({ store }) => store.id === short)!;
    const writer = watched.find(({ store }) => store.id === own)!;
    await admin.set(short!, 'v1', 'PX', 400);
    await ended.changes.next(({ type }) => type === 'saved');
    for (let round = 0; round < 20; round += 1) await writer.store.save(`v${round}`);
    await ended.changes.next(({ type }) => type === 'expired');
    await writer.store.clear();
    expect(watched.flatMap(interruptions)).toEqual([]);
  });
});

describe('a directory that was never told of an id', () => {
  it('finds the id within the bound', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const directory = new RedisCredentialDirectory<string>(connect(server, { lazyConnect: true }), {
      prefix: 'token:',
      serialize: (text) => text,
      deserialize: (bytes) => bytes.toString(),
      ...PATIENT,
      heartbeatMs: 100,
      sweepMs: 500,
    });
    track(directory, () => directory.close());
    const changes = collect(directory.changes$);
    await directory.ready();
    const maxLagMs = 500 + PATIENT.replyTimeoutMs;
    await eventually(() => expect(directory.status.maxLagMs).toBe(maxLagMs));
    await writeUnseen(admin, { 'token:new': 'v1' });
    expect(say(await expectWithin(maxLagMs, () => changes.next()))).toBe('saved v1');
  });
});
