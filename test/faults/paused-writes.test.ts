import { expect, it } from 'vitest';

import { abilitiesOf } from '../support/server-abilities.js';
import { eventually } from '../support/wait.js';
import { slowness } from '../support/slowness.js';
import { KEY, say, useFaults } from './support/faults.js';

const { connect, startNotifying, watch } = useFaults();

it.each([3, 2])('a paused write does not end the feed, over RESP%i', async (protocol) => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v0');
  const replyTimeoutMs = 300 * slowness();
  const fast = { heartbeatMs: 50, replyTimeoutMs, probeMs: 100, pollMs: 50 };
  const { store, changes, statuses } = await watch(server, fast, { protocol } as object);
  await eventually(() => expect(store.status.notifications).toBe('keyspace'));
  const connections = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
  const before = await connections();
  await admin.call('CLIENT', 'PAUSE', 600_000, 'WRITE');
  // Probe after probe hangs, and with each the connection for commands is replaced.
  await eventually(async () => expect(await connections()).toBeGreaterThanOrEqual(before + 4), {
    timeoutMs: 120_000,
  });
  // Redis pauses a script that might write as it pauses a write, so without EVALSHA_RO reads wait too.
  const readsGoOn = (await abilitiesOf(admin)).readCommand === 'evalsha_ro';
  if (readsGoOn) expect(await store.load()).toBe('v0');
  else await expect(store.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await admin.call('CLIENT', 'UNPAUSE');
  await admin.set(KEY, 'v1');
  expect(say(await changes.next())).toBe('saved v1');
  const lost = statuses.values.some(({ link }) => link === 'reconnecting');
  expect(lost).toBe(!readsGoOn);
});
