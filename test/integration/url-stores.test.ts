import { inspect } from 'node:util';

import { expect, it } from 'vitest';

import { RedisCredentialDirectory, RedisCredentialStore } from 'credstream';

import { startRedis, uniqueKey } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { useWorld } from './world.js';

const world = useWorld();

it('a URL is enough, and stores and directories on equal URLs share connections', async () => {
  const server = await startRedis();
  world.track(server, (one) => one.stop());
  const admin = world.connect({}, server.url);
  const ours = async (): Promise<string[]> =>
    [...((await admin.client('LIST')) as string).matchAll(/ name=(credstream:\S+)/g)].map(
      ([, name]) => name!,
    );
  const one = new RedisCredentialStore<string>(server.url, { key: uniqueKey() });
  const other = new RedisCredentialStore<string>(server.url, { key: uniqueKey() });
  const directory = new RedisCredentialDirectory<string>(server.url, { prefix: 'tenant:' });
  for (const each of [one, other, directory]) world.track(each, (open) => open.close());

  await Promise.all([one.ready(), other.ready(), directory.ready()]);
  await Promise.all([one.save('a'), other.save('b'), directory.save('acme', 'c')]);
  expect(one.current?.credentials).toBe('a');
  expect(await other.load()).toBe('b');
  expect((await ours()).sort()).toEqual(['credstream:commands', 'credstream:feed']);

  await one.close();
  await directory.close();
  expect(await other.load()).toBe('b');
  await other.close();
  await eventually(async () => expect(await ours()).toEqual([]));

  await using again = new RedisCredentialStore<string>(server.url, { key: other.id });
  expect(await again.load()).toBe('b');
});

it('the password of a URL is in no error and no output', async () => {
  const url = world.server.url.replace('redis://', 'redis://ada:canary-password@');
  await using store = new RedisCredentialStore<string>(url, { key: uniqueKey() });
  const failures = await Promise.all(
    [store.load(), store.save('a'), store.ready()].map((call) =>
      call.then(
        () => 'no error',
        (error: unknown) => error,
      ),
    ),
  );
  expect(failures).toMatchObject(failures.map(() => ({ reply: 'WRONGPASS' })));
  const shown = inspect([store, failures, store.status], { depth: 20, showHidden: true });
  expect(shown).toContain('WRONGPASS');
  expect(shown).not.toContain('canary');
});

it.each(['http://localhost:6379', 'localhost', 'redis://ada:canary@:port', ''])(
  'a text that is no URL of Redis is refused: %s',
  (url) => {
    const make = (): unknown => new RedisCredentialStore<string>(url, { key: 'a' });
    expect(make).toThrow(/^redis: must be a URL that begins with redis:\/\/ or rediss:\/\//);
    expect(make).not.toThrow(/canary/);
  },
);
