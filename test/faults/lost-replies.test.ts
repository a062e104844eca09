import { describe, expect, it } from 'vitest';

import { OutcomeUnknownError, UnavailableError } from '../../src/index.js';
import { type MonitorRecording, recordMonitor } from '../support/command-counter.js';
import { nonSubscribers, type TcpProxy } from '../support/tcp-proxy.js';
import { deferred, eventually } from '../support/wait.js';
import { isLive, KEY, NO_ROUNDS, say, type TextStore, useFaults } from './support/faults.js';

const { connect, open, proxy, startNotifying, track, watch } = useFaults();

/** A live store that has written `v1`, so that its command connection is open, and a recording of what the server runs. */
async function prepare() {
  const server = await startNotifying();
  const admin = connect(server);
  const network = await proxy(server);
  const watched = await watch(network, NO_ROUNDS);
  await watched.store.save('v0');
  // Redis knows the script from now on.
  await watched.store.save('v1', { onlyIf: watched.store.current! });
  const recording = await recordMonitor(server);
  track(recording, () => recording.stop());
  return { server, admin, network, recording, ...watched };
}

interface Write {
  readonly what: string;
  readonly write: (store: TextStore) => Promise<unknown>;
  readonly result: unknown;
  /** What the last command of the write holds. */
  readonly last: string;
}

const writes: readonly Write[] = [
  {
    what: 'save',
    write: (store) => store.save('v2'),
    result: { announced: true },
    last: 'v2',
  },
  {
    what: 'save with a TTL',
    write: (store) => store.save('v2', { ttlSeconds: 600 }),
    result: { announced: true },
    last: 'v2',
  },
  {
    what: 'conditional save',
    write: async (store) => store.save('v2', { onlyIf: (await store.read())! }),
    result: { announced: true },
    last: '\r\nevalsha\r\n',
  },
  {
    what: 'update',
    write: async (store) => {
      const { written, credentials, attempts } = await store.update(() => 'v2');
      return { written, credentials, attempts };
    },
    result: { written: true, credentials: 'v2', attempts: 1 },
    last: '\r\nevalsha\r\n',
  },
];

describe.each(writes)('$what', ({ write, result, last }) => {
  it('is resolved by reading when Redis executed it and the reply was lost', async () => {
    const { admin, network, recording, store, changes } = await prepare();
    const cut = cutWhenTaken(network, recording, last);
    await expect(write(store)).resolves.toEqual(result);
    await cut;
    expect(store.current?.credentials).toBe('v2');
    expect(await writesOf(recording, 'v2')).toBe(1);
    expect(await admin.get(KEY)).toBe('v2');
    expect(changes.values.map(say)).toEqual(['saved v0', 'saved v1', 'saved v2']);
  });

  it('reports an unknown outcome when the command was lost, and does not send it again', async () => {
    const { admin, network, recording, store } = await prepare();
    const lost = swallow(network, 'v2');
    await expect(write(store)).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect(lost()).toBe(1);
    await store.save('v3');
    expect(await writesOf(recording, 'v2')).toBe(0);
    expect(await admin.get(KEY)).toBe('v3');
  });

  it('does not overwrite a later save of another client', async () => {
    const { admin, network, recording, store, changes, statuses } = await prepare();
    const cut = cutWhenTaken(network, recording, last);
    const writing = write(store);
    writing.catch(() => {});
    await cut;
    await admin.set(KEY, 'v3');
    await writing.catch((error: unknown) => {
      expect(error).toBeInstanceOf(OutcomeUnknownError);
    });
    // A new life of both connections is when a client would replay.
    network.cut();
    await statuses.next((status) => !isLive(status));
    await statuses.next(isLive);
    expect(await eventually(() => store.load())).toBe('v3');
    expect(await admin.get(KEY)).toBe('v3');
    expect(await writesOf(recording, 'v2')).toBe(1);
    expect(changes.values.map(say).at(-1)).toBe('saved v3');
  });

  it('reports an unknown outcome when Redis cannot be read either', async () => {
    const { admin, network, recording, store } = await prepare();
    const cut = cutWhenTaken(network, recording, last);
    const writing = write(store);
    writing.catch(() => {});
    void cut.then(() => network.refuse({ reset: true }));
    await expect(writing).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false });
    await network.accept();
    expect(await admin.get(KEY)).toBe('v2');
    await eventually(() => expect(store.current?.credentials).toBe('v2'));
    expect(await writesOf(recording, 'v2')).toBe(1);
  });
});

describe('the second half of a conditional save', () => {
  it('may be lost, and then nothing is written, neither then nor later', async () => {
    const { admin, network, recording, store, changes } = await prepare();
    const lost = swallow(network, '\r\nevalsha\r\n');
    const onlyIf = (await store.read())!;
    await expect(store.save('v2', { onlyIf })).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect(lost()).toBe(1);
    expect(await admin.get(KEY)).toBe('v1');
    // What was staged goes by itself.
    const staged = await admin.keys('credstream:stage:*');
    expect(staged).toHaveLength(1);
    expect(await admin.pttl(staged[0]!)).toBeGreaterThan(0);
    await store.save('v3', { onlyIf });
    expect(await writesOf(recording, 'v2')).toBe(1);
    expect(changes.values.map(say)).toEqual(['saved v0', 'saved v1', 'saved v3']);
  });
});

describe('clear', () => {
  it('is resolved by reading when Redis executed it and the reply was lost', async () => {
    const { network, recording, store, changes } = await prepare();
    const cut = cutWhenTaken(network, recording, '\r\ndel\r\n');
    expect(await store.clear()).toBe(true);
    await cut;
    expect(changes.values.map(say)).toEqual(['saved v0', 'saved v1', 'cleared v1']);
    expect(await writesOf(recording, 'del')).toBe(1);
  });

  it('does not remove a later save of another client', async () => {
    const { admin, network, recording, store } = await prepare();
    const cut = cutWhenTaken(network, recording, '\r\ndel\r\n');
    const clearing = store.clear();
    clearing.catch(() => {});
    await cut;
    await admin.set(KEY, 'v3');
    await clearing.catch((error: unknown) => expect(error).toBeInstanceOf(OutcomeUnknownError));
    network.cut();
    expect(await eventually(() => store.load())).toBe('v3');
    expect(await writesOf(recording, 'del')).toBe(1);
  });

  it('reports an unknown outcome when the command was lost', async () => {
    const { admin, network, recording, store } = await prepare();
    const lost = swallow(network, '\r\ndel\r\n');
    await expect(store.clear()).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect(lost()).toBe(1);
    expect(await writesOf(recording, 'del')).toBe(0);
    expect(await admin.get(KEY)).toBe('v1');
  });
});

describe('a write that was not sent', () => {
  it.each(['refused', 'silent'] as const)(
    'is a typed error when connections are %s, and nothing is written then or later',
    async (how) => {
      const server = await startNotifying();
      const admin = connect(server);
      const network = await proxy(server);
      if (how === 'refused') network.refuse();
      else await network.hold();
      const recording = await recordMonitor(server);
      track(recording, () => recording.stop());
      // Not watched: the first call opens the connection.
      const store = open(network, NO_ROUNDS);
      const expected = { code: 'UNAVAILABLE', retryable: true };
      await expect(store.save('v1')).rejects.toBeInstanceOf(UnavailableError);
      await expect(store.save('v1', { onlyIf: 'absent' })).rejects.toMatchObject(expected);
      await expect(store.clear()).rejects.toMatchObject(expected);
      await expect(store.update(() => 'v1')).rejects.toMatchObject(expected);
      await expect(store.load()).rejects.toMatchObject(expected);
      await network.accept();
      await store.save('v2');
      expect(await writesOf(recording, 'v1')).toBe(0);
      expect(await writesOf(recording, 'v2')).toBe(1);
      expect(await admin.get(KEY)).toBe('v2');
    },
  );

  it('is not sent by a connection that was just cut, nor kept for the next one', async () => {
    const { admin, network, recording, store, statuses } = await prepare();
    network.refuse({ reset: true });
    await statuses.next((status) => !isLive(status));
    await eventually(() => expect(network.connections).toBe(0));
    await expect(store.save('v2')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await network.accept();
    await statuses.next(isLive);
    await store.save('v3');
    expect(await writesOf(recording, 'v2')).toBe(0);
    expect(await admin.get(KEY)).toBe('v3');
  });
});

/** How many commands with that argument came for the key over a network; what scripts do is not counted twice, and a probe writes keys of its own. */
async function writesOf(recording: MonitorRecording, argument: string): Promise<number> {
  await recording.flush();
  const sent = recording.lines.filter(
    ({ source, args }) => source !== 'lua' && args.some((arg) => arg.includes(KEY)),
  );
  // A staged copy is a digest, and then the value.
  return sent.filter(({ args }) =>
    args.some(
      (arg) => arg === argument || (/^[0-9a-f]{40}/.test(arg) && arg.slice(40) === argument),
    ),
  ).length;
}

/**
 * Cuts a connection once Redis has executed the write whose last command holds `marker`, of which no reply comes through. Not right after
 * the bytes were delivered: who then reads over another connection may be there before they are executed.
 */
async function cutWhenTaken(
  network: TcpProxy,
  recording: MonitorRecording,
  marker: string,
): Promise<void> {
  const before = recording.lines.length;
  const { promise: passed, resolve } = deferred<number>();
  let taken: number | undefined;
  network.onData(
    'toServer',
    (chunk, { id }) => {
      if (taken !== undefined || !chunk.toString('latin1').toLowerCase().includes(marker)) return;
      taken = id;
      resolve(id);
    },
    { select: nonSubscribers },
  );
  network.onData('toClient', (_chunk, { id }) => (id === taken ? null : undefined));
  const link = await passed;
  await eventually(() => {
    const since = recording.lines.slice(before);
    return since.some(({ args: [name = '', key] }) => key === KEY && /^(set|del)$/i.test(name));
  });
  network.cut({ select: ({ id }) => id === link });
}

/** Loses everything from the next `marker` on, on that connection; says how many connections that hit. */
function swallow(network: TcpProxy, marker: string): () => number {
  const dead = new Set<number>();
  network.onData(
    'toServer',
    (chunk, { id }) => {
      if (dead.has(id)) return null;
      const at = chunk.toString('latin1').toLowerCase().indexOf(marker);
      if (dead.size > 0 || at < 0) return undefined;
      dead.add(id);
      return chunk.subarray(0, at);
    },
    { select: nonSubscribers },
  );
  return () => dead.size;
}
