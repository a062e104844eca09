import { describe, expect, it } from 'vitest';

import { ClosedError, RedisCredentialStore } from '../../src/index.js';
import { recordMonitor } from '../support/command-counter.js';
import { noiseMs } from '../support/machine-noise.js';
import { startNodeProcess } from '../support/node-process.js';
import { collect, eventually, within } from '../support/wait.js';
import type { Closed } from './fixtures/closes-and-ends.js';
import { closingStates, ENDLESS } from './support/closing-states.js';
import { KEY, listen, saved, useFaults } from './support/faults.js';
import { credstreamClients } from './support/server.js';

const { connect, open, proxy, startNotifying, track, watch } = useFaults();

describe.each(closingStates)('a store that is $name', ({ enter, options, user }) => {
  it('closes in time and leaves no connection behind', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const network = await proxy(server);
    const url = user === undefined ? network.url : network.url.replace('//', `//${user}@`);
    const store = open(url, { ...ENDLESS, ...options });
    const statuses = collect(store.status$);
    await enter(store, network, server);
    const startedAt = performance.now();
    await store.close();
    expect(performance.now() - startedAt).toBeLessThan(ENDLESS.closeTimeoutMs + noiseMs());
    expect(statuses.values.at(-1)?.link).toBe('closed');
    expect(statuses.completed).toBe(true);
    await server.resume();
    await network.heal();
    await eventually(async () => expect(await credstreamClients(admin)).toEqual([]));
    await eventually(() => expect(network.connections).toBe(0));
    const { accepted } = network;
    // The time in which a forgotten retry would come.
    const other = await watch(network, { key: 'other', replyTimeoutMs: 10_000 });
    await other.store.close();
    expect(network.accepted - accepted).toBeLessThanOrEqual(2);
  });
});

const WARNING =
  /^\(node:\d+\) CredstreamWarning: Redis at .* the stores on this client keep trying\n\(Use `node --trace-warnings.*\n/;

describe('a process', () => {
  it.each(closingStates.map(({ name }) => name))(
    'ends by itself after closing a store that was %s',
    async (name) => {
      const server = await startNotifying();
      const file = new URL('./fixtures/closes-and-ends.ts', import.meta.url);
      const child = await startNodeProcess<Closed>(file, { args: [server.url, name] });
      track(child, () => child.stop());
      const { timers } = await child.next(undefined, 20_000);
      expect(timers).toBe(0);
      const late = new Error('something keeps the process alive');
      expect(await within(10_000, late, child.exited)).toEqual({ code: 0, signal: null });
      // An outage or a refusal that the state makes is the subject of one warning.
      expect(child.stderr.replace(WARNING, '')).toBe('');
    },
  );
});

describe('close()', () => {
  it('may be called any number of times, also at once', async () => {
    const server = await startNotifying();
    const { store, changes, states } = await watch(server);
    const [first, second] = [store.close(), store.close()];
    await Promise.all([first, second]);
    await store.close();
    await store[Symbol.asyncDispose]();
    expect([changes.completed, states.completed]).toEqual([true, true]);
    expect([changes.error, states.error]).toEqual([undefined, undefined]);
  });

  it('ends pending waits, and refuses every later call', async () => {
    const server = await startNotifying();
    const network = await proxy(server);
    await network.hold();
    const store = open(network, ENDLESS);
    const ready = store.ready();
    const iteration = store[Symbol.asyncIterator]().next();
    const loading = store.load();
    const closing = store.close();
    await expect(ready).rejects.toBeInstanceOf(ClosedError);
    await expect(iteration).resolves.toEqual({ done: true, value: undefined });
    await expect(loading).rejects.toMatchObject({ name: /ClosedError|UnavailableError/ });
    await closing;
    const calls = [
      () => store.load(),
      () => store.read(),
      () => store.save('v1'),
      () => store.clear(),
      () => store.update(() => 'v1'),
      () => store.ready(),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(ClosedError);
    expect(store.current).toBeUndefined();
    expect(store.status.link).toBe('closed');
    const late = [store.changes$, store.credentials$, store.state$, store.status$].map(
      (stream$) => collect<unknown>(stream$).completed,
    );
    expect(late).toEqual([true, true, true, true]);
    expect(await store[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    store.on('saved', () => {});
    expect(network.connections).toBe(0);
  });

  it('lets a write that is under way finish', async () => {
    const server = await startNotifying();
    const network = await proxy(server);
    const store = open(network, ENDLESS);
    await store.save('v1');
    network.delay(100);
    const saving = store.save('v2');
    const closing = store.close();
    await expect(saving).resolves.toEqual({ announced: true });
    await closing;
    expect(await connect(server).get(KEY)).toBe('v2');
  });

  it('leaves the other stores on the client alone, until the last one closes', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const client = connect(server, { lazyConnect: true });
    const stores = ['a', 'b', 'c'].map((key) => {
      const store = new RedisCredentialStore<string>(client, { key });
      return listen(track(store, () => store.close()));
    });
    for (const { store } of stores) await store.ready();
    const [a, b, c] = stores;
    await Promise.all([a!.store.close(), b!.store.close()]);
    await c!.store.save('v1');
    await c!.changes.next(saved('v1'));
    expect(await credstreamClients(admin)).toHaveLength(2);
    await c!.store.close();
    await eventually(async () => expect(await credstreamClients(admin)).toEqual([]));
    // And from the beginning.
    const again = new RedisCredentialStore<string>(client, { key: 'a' });
    track(again, () => again.close());
    await again.ready();
    expect(await again.load()).toBeUndefined();
  });
});

it("the caller's client gets no command, no listener and no end from a store", async () => {
  const server = await startNotifying();
  const client = connect(server, { connectionName: 'caller' });
  await client.ping();
  const listeners = (): number[] =>
    client
      .eventNames()
      .map((name) => client.listenerCount(name))
      .sort();
  const before = { listeners: listeners(), options: JSON.stringify(client.options) };
  const list = (await client.client('LIST')) as string;
  const address = / addr=(\S+) .* name=caller/.exec(list)?.[1];
  expect(address).toBeDefined();
  const recording = track(await recordMonitor(server), (it) => it.stop());
  for (let round = 0; round < 20; round += 1) {
    const store = new RedisCredentialStore<string>(client, { key: KEY });
    await store.ready();
    await store.save(`v${round}`);
    await store.clear();
    await store.close();
  }
  await recording.flush();
  expect(recording.lines.length).toBeGreaterThan(50);
  expect(recording.lines.filter(({ source }) => source === address)).toEqual([]);
  expect(listeners()).toEqual(before.listeners);
  expect(JSON.stringify(client.options)).toBe(before.options);
  expect(await client.ping()).toBe('PONG');
});
