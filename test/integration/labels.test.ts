import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';

import { expect, it } from 'vitest';

import { brings, bytesOf, useWorld } from './world.js';

const world = useWorld();

const SET = `
const [host, port, key, value] = process.argv.slice(1);
const socket = require('node:net').connect(Number(port), host);
const part = (text) => '$' + Buffer.byteLength(text) + '\\r\\n' + text + '\\r\\n';
socket.write('*3\\r\\n' + ['SET', key, value].map(part).join(''));
socket.on('data', () => socket.end());
`;

it('a foreign write does not get the label of an own write that arrives in the same input', async () => {
  const { host, port } = world.server;
  const { store, key, changes } = await world.watch(world.connect());
  await store.save({ token: 'first' });

  // Sent before it returns; what comes back waits until this process has time for it.
  const saved = store.save({ token: 'own' });
  execFileSync(process.execPath, ['-e', SET, host, String(port), key, bytesOf('foreign')]);
  await saved;

  expect(await changes.next(brings('foreign'))).toMatchObject({ origin: 'out-of-band' });
  for (const change of changes.values)
    if (!brings('foreign')(change)) expect(change.origin).toBe('self');
});

it('an announcement of a newer version makes an instance read the key, and its labels are not believed', async () => {
  const admin = world.connect();
  await admin.config('SET', 'notify-keyspace-events', '');
  world.track(admin, (one) => one.config('SET', 'notify-keyspace-events', 'Kg$xe'));
  const { store, key, changes } = await world.watch(world.connect());
  expect(store.status.notifications).toBe('announcements');
  const labels = { instance: randomUUID(), name: 'pod', at: 1, reason: 'logout' };
  await admin.set(key, bytesOf('a'));
  for (const kind of ['cleared', 'attempt', 'of a later release']) {
    await admin.append(key, ' ');
    await admin.publish(`credstream:0:${key}`, JSON.stringify({ v: 2, kind, ...labels }));
    expect(await changes.next()).toMatchObject({
      type: 'saved',
      origin: 'unknown',
      reason: undefined,
    });
  }
  expect(store.current?.credentials).toEqual({ token: 'a' });
});
