import { expect, it } from 'vitest';

import { abilitiesOf } from '../support/server-abilities.js';
import { recordMonitor } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import { subscribers } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import { block } from './support/clock.js';
import { credstreamClients, serverNow } from './support/server.js';
import {
  interruptions,
  isLive,
  isNotLive,
  KEY,
  NO_ROUNDS,
  saved,
  say,
  useFaults,
} from './support/faults.js';

const { connect, proxy, startNotifying, watch } = useFaults();

it('a store never mixes the bytes of one write with the end of another, over a link of single bytes', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.slice(1, 0);
  const { changes } = await watch(network, { replyTimeoutMs: 5_000 });
  const writer = connect(server);
  const base = Math.floor(await serverNow(writer)) + 600_000;
  const writes = 300;
  for (let n = 1; n <= writes; n += 1) {
    // The value tells its own end.
    const end = base + n * 1_000;
    if (n % 2 === 0) await writer.set(KEY, `no end ${n}`);
    else await writer.set(KEY, `ends ${end}`, 'PXAT', end);
  }
  await changes.next(saved(`no end ${writes}`));
  const torn = changes.values.filter((change) => {
    if (change.type !== 'saved') return true;
    const end = /^ends (\d+)/.exec(change.credentials)?.[1];
    return change.expiresAt !== (end === undefined ? undefined : Number(end));
  });
  expect(torn).toEqual([]);
  expect(changes.values.length).toBeGreaterThan(writes / 10);
});

it('a store works over a link with 200 ms of round trip as over a fast one', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.delay(100);
  const watched = await watch(network, { replyTimeoutMs: 2_000 });
  const { store, changes } = watched;
  const writer = connect(server);
  await store.save('v1');
  expect(store.current?.credentials).toBe('v1');
  await writer.set(KEY, 'v2', 'PX', 1_200);
  const change = await changes.next(saved('v2'));
  const expired = await changes.next();
  expect(expired).toMatchObject({ type: 'expired', source: 'live' });
  const { expiresAt } = change as { expiresAt?: number };
  expect(expired.at).toBeGreaterThan(expiresAt!);
  expect(await serverNow(writer)).toBeLessThan(expiresAt! + 300 + noiseMs());
  expect(await store.clear()).toBe(false);
  expect(interruptions(watched)).toEqual([]);
  expect(changes.values.map(say)).toEqual(['saved v1', 'saved v2', 'expired v2']);
});

it('a store reads again when Redis dropped its slow subscriber', async () => {
  const server = await startNotifying({
    config: { 'client-output-buffer-limit': 'pubsub 1mb 1mb 1' },
  });
  const network = await proxy(server);
  const { changes, statuses } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 30_000 });
  network.pause('toClient', { select: subscribers });
  const publisher = connect(server);
  // Valkey 9 does not count the text of messages from 16 KB on, which it does not copy.
  const message = 'x'.repeat(10_000);
  await eventually(
    async () => {
      const publishing = publisher.pipeline();
      for (let times = 0; times < 20; times += 1)
        publishing.publish(`credstream:0:${KEY}`, message);
      await publishing.exec();
      expect(await publisher.pubsub('NUMPAT')).toBe(0);
      expect(await publisher.pubsub('CHANNELS', '*')).toEqual([]);
    },
    { timeoutMs: 20_000 },
  );
  // Nobody is told of this one.
  await publisher.set(KEY, 'v2');
  network.resume('toClient');
  await statuses.next(isNotLive);
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'resync' });
  expect(changes.values.map(say)).toEqual(['saved v2']);
});

it('a store takes a reply that arrived while the event loop was blocked past the deadline', async () => {
  const server = await startNotifying();
  const watched = await watch(server, { ...NO_ROUNDS, replyTimeoutMs: 250 });
  const { store } = watched;
  const admin = connect(server);
  await store.save('first');
  const connections = await credstreamClients(admin);
  expect(connections).toHaveLength(2);
  // One of these numbers of turns is where the command has been sent and the answer not read.
  for (let turns = 0; turns < 6; turns += 1) {
    const saving = store.save(`v${turns}`);
    const loading = store.load();
    for (let turn = 0; turn < turns; turn += 1) await nextTurn();
    block(350);
    await expect(saving).resolves.toEqual({ announced: true });
    expect(await loading).toMatch(/^(?:first|v\d)$/);
    expect(await admin.get(KEY)).toBe(`v${turns}`);
  }
  expect(await credstreamClients(admin)).toEqual(connections);
  expect(interruptions(watched)).toEqual([]);
});

it('a store accepts a heartbeat that was late because the event loop was blocked', async () => {
  const server = await startNotifying();
  const { store } = await watch(server, { heartbeatMs: 20, replyTimeoutMs: 300 });
  const admin = connect(server);
  const connections = await credstreamClients(admin);
  for (let round = 0; round < 5; round += 1) {
    block(400);
    await nextTurn();
  }
  await store.save('v1');
  const stayed = (await credstreamClients(admin)).filter((one) => connections.includes(one));
  expect(stayed).toEqual(connections);
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

it('a heartbeat sends nothing beside a read that is under way', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  network.delay(30);
  // Each read is still under way when the next beats come.
  const { store } = await watch(network, { heartbeatMs: 15, replyTimeoutMs: 2_000 });
  const recording = await recordMonitor(server);
  const calls = (name: string): number =>
    recording.lines.filter(({ args }) => args[0]?.toLowerCase() === name).length;
  const { readCommand } = await abilitiesOf(connect(server));
  await eventually(() => calls(readCommand) >= 10);
  await recording.stop();
  expect(calls('ping')).toBe(0);
  expect(isLive(store.status)).toBe(true);
});
