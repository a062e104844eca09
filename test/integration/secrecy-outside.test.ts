import { describe, expect, it } from 'vitest';

import { type MonitoredCommand, recordMonitor } from '../support/command-counter.js';
import { startNodeProcess } from '../support/node-process.js';
import { startRedis, uniquePrefix } from '../support/redis.js';
import { makeCanary } from './canary.js';
import { bytesOf, HINTS_ONLY, NOTIFICATIONS, useWorld } from './world.js';

const world = useWorld({
  config: { ...NOTIFICATIONS, 'slowlog-log-slower-than': '0', 'slowlog-max-len': '100000' },
});

/** Whether a line of MONITOR is the one place where the secret belongs: the value that SET writes to the credential or its staged copy. */
function isWriting({ args }: Pick<MonitoredCommand, 'args'>, key: string): boolean {
  const [name, target = ''] = args;
  const staged = target.startsWith('credstream:stage:');
  return name?.toUpperCase() === 'SET' && (target === key || staged);
}

describe('the output of a process', () => {
  it('contains the credential only in the write itself', async () => {
    const canary = makeCanary();
    const redis = world.connect();
    const published: string[] = [];
    const listener = world.connect();
    listener.on('pmessage', (_pattern, channel, message) => published.push(channel, message));
    await listener.psubscribe('*');
    const recording = await recordMonitor(world.server);

    const { store, key } = await world.watch(world.connect(), { ...HINTS_ONLY, ttlSeconds: 60 });
    const written = ['', ' 2', ' 3', ' 4', ' 5'].map((more) => canary.text + more);
    for (const text of written) canary.alsoDigestsOf(bytesOf(text));
    const [first = '', second = '', third = '', fourth = '', fifth = ''] = written;
    await store.save({ token: first }, { reason: 'login' });
    await store.save({ token: second }, { onlyIf: store.current! });
    await store.update(() => ({ token: third }));
    await store.save({ token: fourth }, { ttlSeconds: 'keep' });
    await store.clear({ onlyIf: store.current! });
    await store.save({ token: fifth }, { onlyIf: 'absent' });
    await store.load();
    await store.clear({ reason: 'logout' });
    await redis.publish('end', 'end');
    await recording.flush();

    const lines = await recording.stop();
    const showing = lines.filter((line) => canary.find(line.text).length > 0);
    expect(showing.filter((line) => !isWriting(line, key)).map(({ text }) => text)).toEqual([]);
    // Three times by itself, twice by a script.
    expect(showing.filter(({ args }) => args[1] === key)).toHaveLength(5);
    const digests = lines.filter((line) => /[0-9a-f]{40}/.test(line.text) && isWriting(line, key));
    expect(digests.every(({ args }) => args[1]?.startsWith('credstream:stage:'))).toBe(true);
    expect(digests).toHaveLength(3);

    const log = (await redis.slowlog('GET', 100_000)) as [number, number, number, string[]][];
    const scripts = log.filter(([, , , args]) => /^eval/i.test(args[0] ?? ''));
    expect(scripts.length).toBeGreaterThan(5);
    const slow = log.filter(([, , , args]) => canary.find(args).length > 0);
    expect(slow.filter(([, , , args]) => !isWriting({ args }, key))).toEqual([]);

    expect(published).toContain('end');
    expect(published.filter((text) => text.includes('logout'))).toHaveLength(1);
    expect(canary.find(published)).toEqual([]);
    expect(await redis.keys('*')).not.toContain(key);
    expect(canary.find(await redis.keys('*'))).toEqual([]);
    expect(canary.find(await redis.client('LIST'))).toEqual([]);
  });

  it('shows no part of the credential on stdout or stderr, whatever goes wrong', async () => {
    const canary = makeCanary();
    const password = makeCanary();
    const server = await startRedis({ config: { ...NOTIFICATIONS, requirepass: password.text } });
    world.track(server, () => server.stop());
    const child = await startNodeProcess(new URL('./fixtures/careless-app.ts', import.meta.url), {
      args: [server.url, uniquePrefix('careless')],
      env: { SECRET: canary.text, REDIS_PASSWORD: password.text },
    });
    world.track(child, () => child.stop());
    await child.next((message) => message === 'done', 20_000);
    const { code, signal } = await child.exited;
    expect({ code, signal }).toEqual({ code: 0, signal: null });

    // It was told that its functions fail, and which.
    for (const where of [
      'serialize',
      'deserialize',
      'expiresAt',
      'ttlSeconds',
      "listener of 'saved'",
    ]) {
      expect(child.stderr).toContain(`CredstreamWarning: a function of the caller threw: ${where}`);
    }
    expect(child.stdout).toBe('');
    expect(canary.find([child.stdout, child.stderr])).toEqual([]);
    expect(password.find([child.stdout, child.stderr])).toEqual([]);
    const unexpected = child.stderr
      .split('\n')
      .filter((line) => line !== '' && !/CredstreamWarning|trace-warnings/.test(line));
    expect(unexpected).toEqual([]);
  });
});
