import { setTimeout as pass } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { commandCalls } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import { abilitiesOf } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import {
  FAST,
  interruptions,
  isLive,
  isNotLive,
  KEY,
  NO_ROUNDS,
  saved,
  say,
  useFaults,
} from './support/faults.js';

const { connect, open, startNotifying, watch } = useFaults();

it('a store notices a server that hangs, and goes on when the server does', async () => {
  const server = await startNotifying();
  const writer = connect(server);
  await writer.set(KEY, 'v1');
  const { store, changes, statuses } = await watch(server, { maxStalenessMs: Infinity });
  await server.suspend();
  const suspendedAt = performance.now();
  const status = await statuses.next(isNotLive);
  expect(performance.now() - suspendedAt).toBeLessThan(
    FAST.heartbeatMs + FAST.replyTimeoutMs + noiseMs(),
  );
  expect(status).toMatchObject({ link: 'reconnecting', freshness: 'stale' });
  expect(store.current?.credentials).toBe('v1');
  // The kernel takes the connection and the bytes; nobody answers.
  await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect(store.save('lost')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await server.resume();
  await statuses.next(isLive);
  const hinted = changes.next(saved('v2'));
  await writer.set(KEY, 'v2');
  expect(await hinted).toMatchObject({ source: 'live' });
  expect(changes.values.map(say)).toEqual(['saved v2']);
});

it('a store sees a save that a server accepted before it hung', async () => {
  const server = await startNotifying();
  // A connection that was idle for as long as a heartbeat would be proven before the write.
  const { store, changes, statuses } = await watch(server, { heartbeatMs: 2_000 });
  const writer = connect(server);
  await store.save('v1');
  await server.suspend();
  const outcome = await store.save('v2').catch((error: unknown) => error);
  expect(outcome).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  await statuses.next(isNotLive);
  await server.resume();
  await statuses.next(isLive);
  // The bytes were in the server's socket, so it ran them late.
  await changes.next(saved('v2'));
  expect(await writer.get(KEY)).toBe('v2');
});

it('a store emits the clears when a killed server comes back empty', async () => {
  const server = await startNotifying();
  await connect(server).set(KEY, 'v1');
  const { store, changes, statuses } = await watch(server, NO_ROUNDS);
  await server.kill();
  expect(await statuses.next(isNotLive)).toMatchObject({ freshness: 'stale' });
  expect(changes.values).toEqual([]);
  await server.restart();
  expect(await changes.next()).toMatchObject({ type: 'cleared', source: 'resync' });
  expect(store.state).toEqual({ type: 'absent' });
  // Redis forgot the scripts and the subscription too.
  await statuses.next(isLive);
  const hinted = changes.next();
  await connect(server).set(KEY, 'v2');
  expect(await hinted).toMatchObject({ type: 'saved', source: 'live' });
  // It sent the script again and did not fall back to reading in several steps, which calls none.
  const admin = connect(server);
  const { readCommand } = await abilitiesOf(admin);
  const reads = (await commandCalls(admin)).get(readCommand) ?? 0;
  await store.load();
  expect((await commandCalls(admin)).get(readCommand)).toBe(reads + 1);
});

it('a store emits nothing when a killed server comes back with the same data', async () => {
  const server = await startNotifying();
  const writer = connect(server);
  await writer.set(KEY, 'v1', 'PX', 600_000);
  const { changes, statuses } = await watch(server, NO_ROUNDS);
  await server.restart({ keepData: true });
  await statuses.next(isNotLive);
  await statuses.next(isLive);
  const hinted = changes.next();
  await eventually(() => writer.set(KEY, 'v2'));
  expect(say(await hinted)).toBe('saved v2');
  expect(changes.values).toHaveLength(1);
});

it('a store takes over older data that a server comes back with', async () => {
  const server = await startNotifying();
  const writer = connect(server);
  await writer.set(KEY, 'v1');
  await writer.save();
  const { changes, statuses } = await watch(server, NO_ROUNDS);
  await writer.set(KEY, 'v2');
  await changes.next(saved('v2'));
  await server.kill();
  await statuses.next(isNotLive);
  await server.restart({ keepData: true });
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'resync' });
  expect(changes.values.map(say)).toEqual(['saved v2', 'saved v1']);
});

it('a store treats a loading server as unavailable', async () => {
  const server = await startNotifying({ config: { rdbcompression: 'no' } });
  const writer = connect(server);
  await writer.set(KEY, 'v1');
  const pipeline = writer.pipeline();
  for (let index = 0; index < 600; index += 1) pipeline.set(`other:${index}`, 'x'.repeat(2_000));
  await pipeline.exec();
  const { store, changes, statuses } = await watch(server, { maxStalenessMs: Infinity });
  const config = { 'key-load-delay': '3000', 'loading-process-events-interval-bytes': '1024' };
  await server.restart({ keepData: true, whileLoading: true, config });
  const loading = await statuses.next(({ error }) => String(error?.message).includes('LOADING'));
  expect(loading).toMatchObject({ link: 'reconnecting', error: { code: 'UNAVAILABLE' } });
  await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(store.current?.credentials).toBe('v1');
  await statuses.next(isLive, 30_000);
  await eventually(() => writer.set(KEY, 'v2'));
  await changes.next(saved('v2'));
  expect(changes.values).toHaveLength(1);
});

it('a store waits for a server that does not run yet', async () => {
  const server = await startNotifying();
  await server.kill();
  const store = open(server);
  const ready = store.ready();
  await eventually(() => expect(store.status.error?.cause).toMatchObject({ code: 'ECONNREFUSED' }));
  expect(store.status).toMatchObject({ link: 'connecting', freshness: 'unknown' });
  expect(store.state).toEqual({ type: 'unknown' });
  await server.restart();
  await ready;
  expect(store.state).toEqual({ type: 'absent' });
});

it('a store keeps its link when a server is merely busy for a moment', async () => {
  const server = await startNotifying();
  const watched = await watch(server, { replyTimeoutMs: 2_000 });
  const writer = connect(server);
  await writer.set(KEY, 'v1');
  await watched.changes.next(saved('v1'));
  await server.suspend();
  const saving = watched.store.save('v2');
  await pass(500);
  await server.resume();
  await saving;
  await watched.changes.next(saved('v2'));
  expect(interruptions(watched)).toEqual([]);
});
