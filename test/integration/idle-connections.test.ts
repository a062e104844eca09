import { createServer, connect as dial } from 'node:net';

import { expect, it } from 'vitest';

import type { RedisCredentialStore } from 'credstream';

import { VirtualClock } from '../../src/testing/index.js';
import { eventually } from '../support/wait.js';
import { useWorld } from './world.js';

const world = useWorld();

/** A load balancer that answers the first packet on a connection which it has forgotten with RST. */
async function balancer() {
  let forgotten = new Set<object>();
  const open = new Set<object>();
  const server = createServer((client) => {
    open.add(client);
    const upstream = dial(world.server.port, world.server.host);
    client.on('error', () => {}).on('close', () => upstream.destroy());
    upstream.on('error', () => {}).on('close', () => client.destroy());
    client.on('data', (bytes) => {
      if (forgotten.has(client)) client.resetAndDestroy();
      else upstream.write(bytes);
    });
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.track(server, (one) => one.close());
  const { port } = server.address() as { port: number };
  return {
    url: `redis://127.0.0.1:${String(port)}`,
    forget: () => {
      forgotten = new Set(open);
    },
  };
}

it.each([
  ['load', (store: RedisCredentialStore<string>) => store.load()],
  ['save', (store: RedisCredentialStore<string>) => store.save('b')],
  ['update', (store: RedisCredentialStore<string>) => store.update(() => 'c')],
  ['clear', (store: RedisCredentialStore<string>) => store.clear()],
])('%s works after a quiet time in which the connection was forgotten', async (_name, call) => {
  const link = await balancer();
  const clock = new VirtualClock();
  const store = world.store<string>(world.connect({ lazyConnect: true }, link.url), { clock });
  await store.save('a');
  link.forget();
  await clock.advance(5_001);
  await expect(call(store)).resolves.not.toThrow();
});

it('writes after a quiet time keep the order of the calls', async () => {
  const clock = new VirtualClock();
  const store = world.store<string>(world.connect({ lazyConnect: true }), { clock });
  await store.save('a');
  await clock.advance(5_001);
  await Promise.all(['b', 'c', 'd'].map((text) => store.save(text)));
  expect(await store.load()).toBe('d');
});

it('a save waits for replicas also when their connection was forgotten', async () => {
  const link = await balancer();
  const clock = new VirtualClock();
  const store = world.store<string>(world.connect({ lazyConnect: true }, link.url), { clock });
  const save = async (): Promise<unknown> => {
    const saving = store.save('a', { replicas: 1, replicaTimeoutMs: 100 });
    let done = false;
    void saving.finally(() => (done = true)).catch(() => undefined);
    await eventually(async () => {
      await clock.advance(1);
      expect(done).toBe(true);
    });
    return saving;
  };
  // There are no replicas, and no error either.
  expect(await save()).toEqual({ announced: true, replicas: 0 });
  link.forget();
  await clock.advance(5_001);
  expect(await save()).toEqual({ announced: true, replicas: 0 });
});
