import { expect, it } from 'vitest';

import { UnavailableError } from '../../src/index.js';
import { expectWithin, noiseMs } from '../support/machine-noise.js';
import { nonSubscribers, subscribers } from '../support/tcp-proxy.js';
import { eventually } from '../support/wait.js';
import {
  FAST,
  isLive,
  isNotLive,
  KEY,
  NO_ROUNDS,
  presentLinks,
  saved,
  say,
  useFaults,
} from './support/faults.js';

const { connect, open, proxy, startNotifying, watch } = useFaults();

it('a store reads again after a reset of the idle link', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  const { changes, statuses } = await watch(network, NO_ROUNDS);
  network.refuse({ reset: true });
  await statuses.next(isNotLive);
  await connect(server).set(KEY, 'v2');
  await network.accept();
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'resync' });
  await statuses.next(isLive);
});

it('a store emits nothing after a reset when nothing changed meanwhile', async () => {
  const server = await startNotifying();
  const writer = connect(server);
  await writer.set(KEY, 'v1', 'PX', 60_000);
  const network = await proxy(server);
  const { changes, states, statuses } = await watch(network, NO_ROUNDS);
  for (let round = 1; round <= 3; round += 1) {
    network.cut();
    await statuses.next(isNotLive);
    await statuses.next(isLive);
  }
  await writer.set(KEY, 'v2');
  await changes.next();
  expect(changes.values.map(say)).toEqual(['saved v2']);
  expect(states.values.map(({ type }) => type)).toEqual(['unknown', 'present', 'present']);
});

it.each(['reset', 'end'] as const)('a store survives a reply cut in half by a %s', async (how) => {
  const server = await startNotifying();
  const network = await proxy(server);
  const { changes } = await watch(network, NO_ROUNDS);
  const value = 'v2'.padEnd(1_000, '.');
  let cuts = 0;
  network.onData('toClient', (chunk, link, afterwards) => {
    const at = chunk.indexOf('v2..');
    if (at < 0 || cuts > 0) return undefined;
    cuts += 1;
    afterwards(() => (how === 'reset' ? link.cut() : link.end()));
    return chunk.subarray(0, at + 500);
  });
  await connect(server).set(KEY, value);
  const change = await changes.next();
  expect(change).toMatchObject({ type: 'saved', source: 'resync' });
  expect(say(change)).toBe(`saved ${value}`);
  expect(cuts).toBe(1);
});

it.each(['both', 'toClient', 'toServer'] as const)(
  'a store notices within heartbeat and reply deadline that an idle link is dead (%s), and opens a new one',
  async (direction) => {
    const server = await startNotifying();
    const network = await proxy(server);
    const { changes, statuses } = await watch(network, { pollMs: 600_000, probeMs: 600_000 });
    network.pause(direction, { select: presentLinks(network) });
    const pausedAt = performance.now();
    const status = await statuses.next(isNotLive);
    const noticedMs = performance.now() - pausedAt;
    expect(status).toMatchObject({ link: 'reconnecting', maxLagMs: undefined });
    expect(status.error).toBeInstanceOf(UnavailableError);
    expect(noticedMs).toBeLessThan(FAST.heartbeatMs + FAST.replyTimeoutMs + noiseMs());
    // Before the new link is there, or just after it.
    await connect(server).set(KEY, 'v2');
    await changes.next(saved('v2'));
    await statuses.next(isLive);
  },
);

it('a store sees writes whose hints vanished in a link that looked alive', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  const options = { pollMs: 600_000, probeMs: 600_000 };
  const { store, changes, statuses } = await watch(network, options);
  const { maxLagMs } = store.status;
  network.pause('toClient', { select: presentLinks(network) });
  await connect(server).set(KEY, 'v2');
  // From then on there is no promise of a lag, and a new link brings it as soon as it is open.
  await expectWithin(maxLagMs!, () => statuses.next(isNotLive));
  await changes.next(saved('v2'));
  expect(changes.values.map(say)).toEqual(['saved v2']);
});

it('a store gives up unanswered handshakes until one is answered', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  await network.hold();
  const store = open(network);
  await expect(store.ready({ timeoutMs: FAST.replyTimeoutMs / 2 })).rejects.toMatchObject({
    code: 'TIMEOUT',
  });
  await eventually(() => expect(network.accepted).toBeGreaterThanOrEqual(3));
  // What was given up does not pile up; the network may hear of an end a moment after it hears of the next try.
  await eventually(() => expect(network.connections).toBeLessThanOrEqual(1));
  await network.accept();
  await store.ready();
  expect(store.state).toEqual({ type: 'absent' });
});

it('a store comes back after many refused connections', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  let attempts = 0;
  const random = (): number => {
    attempts += 1;
    return 0;
  };
  const { changes, statuses } = await watch(network, { ...NO_ROUNDS, random });
  network.refuse({ reset: true });
  const status = await statuses.next(({ error }) => String(error?.cause).includes('ECONNREFUSED'));
  expect(status).toMatchObject({ link: 'reconnecting', error: { code: 'UNAVAILABLE' } });
  await eventually(() => expect(attempts).toBeGreaterThanOrEqual(5));
  await connect(server).set(KEY, 'v2');
  await network.accept();
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'resync' });
  const hinted = changes.next();
  await connect(server).set(KEY, 'v3');
  expect(await hinted).toMatchObject({ type: 'saved', source: 'live' });
});

it('a store subscribes again when the link dies before Redis confirms', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  const cut = network.cutAfter('toServer', 'subscribe');
  const { changes } = await watch(network, NO_ROUNDS);
  await cut;
  const writer = connect(server);
  expect(await writer.pubsub('NUMSUB', `__keyspace@0__:${KEY}`)).toEqual([
    `__keyspace@0__:${KEY}`,
    1,
  ]);
  await writer.set(KEY, 'v2');
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'live' });
});

it('a store without a confirmed subscription does not become live', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  let swallowed = 0;
  network.onData('toServer', (chunk) => {
    if (swallowed > 0 || !chunk.includes('subscribe')) return undefined;
    swallowed += 1;
    return null;
  });
  // Of which the swallowed command takes one, and a busy machine some of the next.
  const { changes } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 1_000 });
  expect(swallowed).toBe(1);
  await connect(server).set(KEY, 'v2');
  expect(await changes.next()).toMatchObject({ type: 'saved', source: 'live' });
});

it('a store sees a write right after the server killed its connections', async () => {
  const server = await startNotifying();
  const { changes } = await watch(server, NO_ROUNDS);
  const writer = connect(server);
  for (let round = 1; round <= 5; round += 1) {
    // One after the other at the server, with no room for a new connection between them.
    const kill = writer.pipeline().call('CLIENT', 'KILL', 'TYPE', 'pubsub').set(KEY, `v${round}`);
    await kill.exec();
    await changes.next(saved(`v${round}`));
  }
  expect(changes.values).toHaveLength(5);
  // Later writes may be found by polls over the connection for commands.
  expect(changes.values.slice(0, 2).every(({ source }) => source === 'resync')).toBe(true);
});

it('a store opens a new command connection when the old one died unnoticed', async () => {
  const server = await startNotifying();
  const network = await proxy(server);
  const { store } = await watch(network, NO_ROUNDS);
  await store.save('v1');
  network.cut({ select: nonSubscribers });
  await eventually(() => expect(network.links.filter(nonSubscribers)).toEqual([]));
  await eventually(() => store.save('v2'));
  expect(await connect(server).get(KEY)).toBe('v2');
  expect(store.current?.credentials).toBe('v2');
  expect(network.links.filter(subscribers)).toHaveLength(1);
});
