import { connect as dial, createServer } from 'node:net';

import { expect, it } from 'vitest';

import { uniquePrefix } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { makeUser } from './users.js';
import { useWorld } from './world.js';

const world = useWorld();

const HEARTBEATS = 25;
/** Two connections try a command when they are opened; reading goes from one way to the next. */
const AT_FIRST = 5;

/** The scripts that have read a key at the server. */
async function readings(): Promise<number> {
  const info = await world.connect().info('commandstats');
  const counts = [...info.matchAll(/^cmdstat_(?:evalsha|strlen)\w*:calls=(\d+)/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

const REFUSED = ['ping', 'set', 'del', 'publish', 'config', 'evalsha_ro', 'eval_ro', 'wait'];

it.each([3, 2].flatMap((protocol) => REFUSED.map((command) => ({ protocol, command }))))(
  'a refused $command is not repeated with every heartbeat, over RESP$protocol',
  async ({ protocol, command }) => {
    const prefix = uniquePrefix();
    const user = await makeUser(world, `+@all ~* &* -${command}`);
    const client = user.connect({ protocol } as object);
    const options = { heartbeatMs: 20, pollMs: 60_000, configureNotifications: true } as const;
    for (const id of ['a', 'b']) await world.watch(client, { ...options, key: prefix + id });
    const before = await readings();
    await eventually(async () => expect(await readings()).toBeGreaterThan(before + HEARTBEATS));
    for (const [refused, count] of await user.refusalCounts())
      expect.soft({ refused, often: count > AT_FIRST, count }).toMatchObject({ often: false });
  },
);

it('no CLIENT SETINFO is sent, which only fills the log where it is refused', async () => {
  let sent = '';
  const link = createServer((client) => {
    const upstream = dial(world.server.port, world.server.host);
    client.on('data', (bytes) => (sent += bytes.toString('latin1'))).pipe(upstream);
    upstream.on('error', () => {}).pipe(client);
    client.on('error', () => {}).on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => link.listen(0, '127.0.0.1', resolve));
  world.track(link, (one) => one.close());
  const { port } = link.address() as { port: number };
  const client = world.connect({ lazyConnect: true }, `redis://127.0.0.1:${String(port)}`);
  const { store } = await world.watch(client);
  await store.save({ token: 'a' });
  expect(sent).toMatch(/SETNAME/i);
  expect(sent).not.toMatch(/SETINFO/i);
});
