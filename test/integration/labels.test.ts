import { execFileSync } from 'node:child_process';

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
