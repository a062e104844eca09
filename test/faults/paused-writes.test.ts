import { expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { KEY, say, useFaults } from './support/faults.js';

const { connect, startNotifying, watch } = useFaults();

it.each([3, 2])(
  'a paused write does not end the feed, over RESP%i',
  async (protocol) => {
    const server = await startNotifying();
    const admin = connect(server);
    await admin.set(KEY, 'v0');
    const fast = { heartbeatMs: 50, replyTimeoutMs: 300, probeMs: 100, pollMs: 50 };
    const { store, changes, statuses } = await watch(server, fast, { protocol } as object);
    await eventually(() => expect(store.status.notifications).toBe('keyspace'));
    const connections = async (): Promise<number> =>
      Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
    const before = await connections();
    await admin.call('CLIENT', 'PAUSE', 600_000, 'WRITE');
    // Probe after probe hangs, and with each the connection for commands is replaced.
    await eventually(async () => expect(await connections()).toBeGreaterThanOrEqual(before + 4), {
      timeoutMs: 20_000,
    });
    expect(await store.load()).toBe('v0');
    await admin.call('CLIENT', 'UNPAUSE');
    await admin.set(KEY, 'v1');
    expect(say(await changes.next())).toBe('saved v1');
    expect(statuses.values.filter(({ link }) => link === 'reconnecting')).toEqual([]);
  },
  60_000,
);
