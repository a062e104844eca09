import { mkdtempSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { redisFromUrl, tryFindRedis } from '../../support/redis-server/index.js';
import { useRedis } from '../../support/redis.js';
import { nextEvent } from '../../support/wait.js';

// All temporary directories of this file go here, so that one left behind is seen.
const outside = process.env['TMPDIR'];
const inside = mkdtempSync(join(tmpdir(), 'credstream-test-'));
beforeAll(() => {
  process.env['TMPDIR'] = inside;
});
afterAll(async () => {
  if (outside === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = outside;
  await rm(inside, { recursive: true });
});
// Registered before useRedis() below: hooks after a test run in reverse order, and it has to look last.
afterEach(async () => {
  // What testcontainers keeps here is not ours.
  expect((await readdir(inside)).filter((name) => name.startsWith('credstream'))).toEqual([]);
});

const { connect, startRedis } = useRedis();
const IMPATIENT = { commandTimeout: 200, retryStrategy: () => null };

describe('start', () => {
  it('gives a server with its own configuration', async () => {
    const server = await startRedis({
      config: {
        'notify-keyspace-events': 'KEA',
        'client-output-buffer-limit': 'pubsub 1mb 1mb 1',
        'rename-command FLUSHALL': '',
      },
      args: ['--maxclients', '77'],
    });
    const client = connect(server);
    const config = async (name: string): Promise<string> => (await client.config('GET', name))[1]!;
    expect(await config('notify-keyspace-events')).toBe('AKE');
    expect(await config('client-output-buffer-limit')).toContain('pubsub 1048576 1048576 1');
    expect(await config('maxclients')).toBe('77');
    expect(await config('save')).toBe('');
    await expect(client.flushall()).rejects.toThrow('unknown command');
    expect(await client.info('server')).toContain(`_version:${server.version}\r\n`);
    expect(server.url).toBe(`redis://127.0.0.1:${server.port}`);
  });

  it('starts many servers at once, each on a port of its own', async () => {
    const servers = await Promise.all(Array.from({ length: 4 }, () => startRedis()));
    expect(new Set(servers.map(({ port }) => port)).size).toBe(servers.length);
    const clients = servers.map((server) => connect(server));
    await Promise.all(clients.map((client, index) => client.set('who', index)));
    expect(await Promise.all(clients.map((client) => client.get('who')))).toEqual(
      servers.map((_, index) => String(index)),
    );
  });

  it('waits for a server that wants a password, and keeps its data over a restart', async () => {
    const server = await startRedis({ config: { requirepass: 'opening' } });
    const client = connect(server, { password: 'opening' });
    await client.set('a', '1');
    await server.restart({ keepData: true });
    expect(await client.get('a')).toBe('1');
  });

  it('fails when the given port is taken, rather than take another', async () => {
    const { port } = await startRedis();
    await expect(startRedis({ port })).rejects.toThrow(/in use|allocated/);
  });

  it('fails at once on a configuration that Redis refuses', async () => {
    await expect(startRedis({ config: { 'no-such-directive': '1' } })).rejects.toThrow();
  });
});

describe('restart', () => {
  it('comes back empty on the same port', async () => {
    const server = await startRedis({ config: { 'notify-keyspace-events': 'KEA' } });
    const client = connect(server);
    await client.set('a', '1');
    await client.config('SET', 'maxclients', '99');
    await client.save();
    const runId = await runIdOf(client);
    await server.restart();
    expect(await client.get('a')).toBeNull();
    expect(await runIdOf(client)).not.toBe(runId);
    expect(await client.config('GET', 'notify-keyspace-events')).toContain('AKE');
    expect(await client.config('GET', 'maxclients')).not.toContain('99');
  });

  it('keeps its data on request, with a changed configuration', async () => {
    const server = await startRedis({ config: { 'notify-keyspace-events': 'KEA' } });
    const client = connect(server);
    await client.set('a', '1');
    await server.restart({ keepData: true, config: { 'notify-keyspace-events': '' } });
    expect(await client.get('a')).toBe('1');
    expect(await client.config('GET', 'notify-keyspace-events')).toEqual([
      'notify-keyspace-events',
      '',
    ]);
  });

  it('comes back with the last SAVE after a kill', async () => {
    const server = await startRedis();
    const client = connect(server);
    await client.set('a', 'saved');
    await client.save();
    await client.set('a', 'lost');
    await server.kill();
    await server.restart({ keepData: true });
    expect(await client.get('a')).toBe('saved');
  });

  it('also brings back a suspended server', async () => {
    const server = await startRedis();
    await server.suspend();
    await server.restart();
    expect(await connect(server).ping()).toBe('PONG');
    await server.suspend();
    await server.restart({ keepData: true });
    expect(await connect(server).ping()).toBe('PONG');
  });

  it('can return while the server still loads its data', async () => {
    // Redis answers between blocks of the file, so there must be many of them.
    const server = await startRedis({ config: { rdbcompression: 'no' } });
    const client = connect(server);
    const pipeline = client.pipeline();
    for (let index = 0; index < 400; index += 1) pipeline.set(`key:${index}`, 'x'.repeat(2_000));
    await pipeline.exec();
    const config = { 'key-load-delay': '5000', 'loading-process-events-interval-bytes': '1024' };
    await server.restart({ keepData: true, whileLoading: true, config });
    const impatient = connect(server, { enableReadyCheck: false });
    await expect(impatient.get('key:1')).rejects.toThrow('LOADING');
  });
});

describe('a server in trouble', () => {
  it('accepts connections and answers nothing while suspended', async () => {
    const server = await startRedis();
    const before = connect(server);
    await before.set('a', '1');
    await server.suspend();
    const during = connect(server, { ...IMPATIENT, lazyConnect: true, enableReadyCheck: false });
    const connected = nextEvent(during, 'connect');
    void during.connect().catch(() => {});
    await connected;
    const answer = before.get('a');
    await expect(during.ping()).rejects.toThrow();
    await server.resume();
    expect(await answer).toBe('1');
  });

  it('refuses connections once killed', async () => {
    const server = await startRedis();
    const client = connect(server);
    await client.ping();
    const closed = nextEvent(client, 'close');
    await server.kill();
    await closed;
    const late = connect(server, { ...IMPATIENT, lazyConnect: true });
    await expect(late.connect()).rejects.toThrow();
    await server.restart();
    expect(await client.ping()).toBe('PONG');
  });

  it('can be stopped twice, killed or suspended', async () => {
    const [killed, suspended] = await Promise.all([startRedis(), startRedis()]);
    await killed.kill();
    await suspended.suspend();
    for (const server of [killed, suspended, killed]) await server.stop();
    await expect(killed.restart()).rejects.toThrow('stop()');
  });
});

describe('finding a server', () => {
  it('says in one line the program to install, and the tried ones', async () => {
    const reason = await reasonFor({ REDIS_SERVER: '/nowhere/redis-server' });
    expect(reason).toMatch(/^no Redis.*install redis-server.*\/nowhere\/redis-server.*$/);
    expect(reason).not.toContain('\n');
  });

  it('accepts no program but Redis', async () => {
    expect(await reasonFor({ REDIS_SERVER: process.execPath })).toContain('no version of Redis');
  });

  it('refuses an unknown TEST_REDIS', async () => {
    expect(await reasonFor({ TEST_REDIS: 'docker' })).toContain('not docker');
  });

  it('uses a server by its URL and leaves it running', async () => {
    const server = await startRedis({ config: { requirepass: 'opening' } });
    const url = `redis://:opening@127.0.0.1:${server.port}`;
    const endpoint = await redisFromUrl(url);
    expect(endpoint).toMatchObject({ url, port: server.port, version: server.version });
    await endpoint.stop();
    expect(await connect(url).ping()).toBe('PONG');
  });

  it('keeps the password out of the error about a URL', async () => {
    const server = await startRedis({ config: { requirepass: 'opening' } });
    const url = `redis://:sesame@127.0.0.1:${server.port}`;
    const failure = await redisFromUrl(url).catch((error: unknown) => error);
    expect(failure).toEqual(new Error(`no Redis answers at redis://127.0.0.1:${server.port}`));
    await expect(redisFromUrl('http://localhost')).rejects.toThrow('begins with redis://');
  });
});

async function reasonFor(environment: Record<string, string>): Promise<string> {
  const search = await tryFindRedis(environment);
  return search.provider === undefined ? search.reason : `found ${search.provider.description}`;
}

async function runIdOf(client: { info(section: string): Promise<string> }): Promise<string> {
  return /^run_id:(\w+)/m.exec(await client.info('server'))![1]!;
}
