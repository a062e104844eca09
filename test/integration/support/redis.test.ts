import type { Redis } from 'ioredis';
import { describe, expect, inject, it } from 'vitest';

import { countCommands, recordMonitor } from '../../support/command-counter.js';
import { expectWithin, useMachineNoise } from '../../support/machine-noise.js';
import { disconnect, uniqueKey, useRedis } from '../../support/redis.js';
import { subscribers } from '../../support/tcp-proxy.js';
import { eventually, nextEvent } from '../../support/wait.js';

useMachineNoise();
const { connect, proxy, startRedis, url } = useRedis();

describe('useRedis', () => {
  let earlier: { client: Redis; broken: Redis; port: number } | undefined;

  it('connects to the server of the run', async () => {
    const key = uniqueKey();
    const client = connect();
    await client.set(key, 'x', 'PX', 10_000);
    expect(await connect(inject('redisUrl')).get(key)).toBe('x');
    expect(url).toBe(inject('redisUrl'));

    const server = await startRedis();
    const link = await proxy(server);
    const broken = connect(link);
    await broken.ping();
    link.pause();
    earlier = { client, broken, port: link.port };
  });

  it('ends the clients of the test before, also behind a dead link', async () => {
    expect([earlier!.client.status, earlier!.broken.status]).toEqual(['end', 'end']);
    const late = connect(`redis://127.0.0.1:${earlier!.port}`, { lazyConnect: true });
    await expect(late.connect()).rejects.toThrow();
  });
});

describe('disconnect', () => {
  it('does not wait for a silent peer', async () => {
    const link = await proxy(await startRedis());
    const client = connect(link);
    await client.ping();
    link.pause();
    // ioredis itself gives the peer 2 s to answer the end.
    await expectWithin(1_000, () => disconnect(client));
  });

  it('ends a client that waits for its next try', async () => {
    const client = connect('redis://127.0.0.1:1', { retryStrategy: () => 60_000 });
    await nextEvent(client, 'reconnecting');
    await expect(disconnect(client)).resolves.toBeUndefined();
  });
});

describe('countCommands', () => {
  it('counts every command at the server, in scripts and pipelines too', async () => {
    const client = connect(await startRedis());
    await client.set('before', '1');
    const counted = await countCommands(client, async () => {
      await client.pipeline().set('a', '1').set('b', '2').exec();
      await client.eval(`return redis.call('GET', KEYS[1])`, 1, 'a');
      await client.config('GET', 'maxclients');
    });
    expect(Object.fromEntries(counted)).toEqual({ set: 2, eval: 1, get: 1, 'config|get': 1 });
  });

  it('shows a write that the client sent twice', async () => {
    const server = await startRedis();
    const link = await proxy(server);
    const client = connect(link, { autoResendUnfulfilledCommands: true });
    await client.ping();
    const counted = await countCommands(connect(server), async () => {
      const cut = link.cutAfter('toServer', 'incr');
      await client.incr('n');
      await cut;
    });
    expect(counted.get('incr')).toBe(2);
  });
});

describe('recordMonitor', () => {
  it('has every command before stop, and none of its own', async () => {
    const server = await startRedis();
    const client = connect(server);
    await client.ping();
    const recording = await recordMonitor(server);
    await client.set('key', 'canary');
    await client.eval(`return redis.call('GET', KEYS[1])`, 1, 'key');
    await recording.flush();
    expect(recording.lines.map(({ args }) => args[0])).toEqual(['set', 'eval', 'GET']);
    expect(recording.lines[2]?.source).toBe('lua');
    await client.select(3);
    const lines = await recording.stop();
    expect(lines.filter(({ text }) => text.includes('canary'))).toHaveLength(1);
    expect(lines.at(-1)).toMatchObject({ text: 'select 3', database: 3 });
    await client.set('key', 'unseen');
    expect(recording.lines).toHaveLength(4);
    await eventually(async () => {
      const clients = (await client.client('LIST')) as string;
      expect(clients.trim().split('\n')).toHaveLength(1);
    });
  });
});

describe('a recording over a slow link', () => {
  it('has every command all the same', async () => {
    const server = await startRedis();
    const link = await proxy(server);
    link.delay(50, 'toClient', { select: ({ sentText }) => /\r\nmonitor\r\n/i.test(sentText) });
    const recording = await recordMonitor(link);
    await connect(server).set('key', 'x');
    const lines = await recording.stop();
    expect(lines.map(({ text }) => text)).toContain('set key x');
  });
});

describe('the proxy before a real server', () => {
  it('cuts the subscriber alone', async () => {
    const server = await startRedis();
    const link = await proxy(server);
    const [subscriber, commands] = [connect(link), connect(link)];
    await Promise.all([subscriber.subscribe('channel'), commands.ping()]);
    let closed = 0;
    for (const client of [subscriber, commands]) client.on('close', () => (closed += 1));
    link.cut({ select: subscribers });
    await eventually(() => expect(link.accepted).toBe(3));
    await commands.ping();
    expect(closed).toBe(1);
  });

  it('lets the output buffer of the server overflow behind a black hole', async () => {
    const limit = { 'client-output-buffer-limit': 'pubsub 1mb 1mb 1' };
    const server = await startRedis({ config: limit });
    const link = await proxy(server);
    const subscriber = connect(link);
    await subscriber.subscribe('channel');
    const publisher = connect(server);
    link.pause('toClient', { select: subscribers });
    // Valkey 9 does not count the text of messages from 16 KB on, which it does not copy.
    const message = 'x'.repeat(10_000);
    await eventually(
      async () => {
        const publishing = publisher.pipeline();
        for (let times = 0; times < 20; times += 1) publishing.publish('channel', message);
        await publishing.exec();
        expect(await publisher.pubsub('NUMSUB', 'channel')).toEqual(['channel', 0]);
      },
      { timeoutMs: 20_000 },
    );
  });
});
