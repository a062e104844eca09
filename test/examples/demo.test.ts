import { describe, expect, it } from 'vitest';

import type { DemoEvent } from '../../examples/demo/report/demo-event.js';
import { type MonitoredCommand, recordMonitor } from '../support/command-counter.js';
import { isAlive } from '../support/guarded-process.js';
import { startNodeProcess, type NodeProcess } from '../support/node-process.js';
import { NOTIFICATIONS } from '../integration/world.js';
import { useRedis } from '../support/redis.js';
import { eventually } from '../support/wait.js';
import { EXAMPLES, type FinishedProcess, run } from './finished-process.js';

/** More than the deadline of the demo itself, and finding a Redis may take a download. */
const TIMEOUT_MS = 180_000;
const DEMO = 'demo/main.ts';
const INSTANCES = ['instance-1', 'instance-2', 'instance-3'];

/** What every instance has to be told, in this order. */
const STEPS = [
  { step: 'saved', type: 'saved', origin: 'other-instance', source: 'live' },
  { step: 'renewed', type: 'renewed', origin: 'out-of-band', source: 'live' },
  { step: 'overwritten', type: 'saved', origin: 'out-of-band', source: 'live' },
  { step: 'expired', type: 'expired', source: 'live' },
  { step: 'saved again', type: 'saved', origin: 'other-instance', source: 'live' },
  {
    step: 'cleared',
    type: 'cleared',
    origin: 'other-instance',
    source: 'live',
    reason: 'user logged out',
  },
] as const;

// At the same time: a demo waits for ends of tokens most of its time.
describe('the demo', { timeout: TIMEOUT_MS + 60_000, concurrent: true }, () => {
  const redis = useRedis('suite');

  it('shows every change in order on three processes, each with its latency', async () => {
    const server = await redis.startRedis({ config: NOTIFICATIONS });
    const recording = redis.track(await recordMonitor(server), (one) => one.stop());
    const demo = await runDemo({ REDIS_URL: server.url }, '--json');
    expect(demo.stderr).toBe('');
    expect(demo.code).toBe(0);

    const events = eventsIn(demo.stdout);
    const instances = ofKind(events, 'instance');
    expect(instances.map(({ instance }) => instance)).toEqual(INSTANCES);
    expect(new Set(instances.map(({ where }) => where)).size).toBe(3);
    for (const instance of INSTANCES) {
      const told = ofKind(events, 'told').filter((one) => one.instance === instance);
      expect(told).toMatchObject(STEPS);
      for (const { latencyMs, since } of told) {
        // The demo itself has checked that no expiry was early, to within what the clocks tell.
        expect(latencyMs).toBeGreaterThan(since === 'write' ? 0 : -1);
      }
    }
    // Each instance has used its token, and has had none after the end.
    expect(ofKind(events, 'used').map(({ status }) => Object.values(status))).toEqual([
      [200, 200, 200],
      [200, 200, 200],
      [null, null, null],
      [null, null, null],
      // With the token that one of them has refreshed, and with that of the one that took over.
      [200, 200, 200],
      [200, 200],
    ]);
    expect(ofKind(events, 'summary')[0]?.columns.map(({ title }) => title)).toEqual(
      STEPS.map(({ step }) => step),
    );
    expectTwoRefreshes(events);
    const [result] = ofKind(events, 'result');
    expect(result).toMatchObject({ ok: true });

    await recording.flush();
    expectNoTokenOf(recording.lines, demo.stdout);
    expect(await redis.connect(server).keys('*credstream-demo:*')).toEqual([]);
  });

  it('starts a Redis, and prints its choice and the time that each step took', async () => {
    const demo = await startDemo({ REDIS_URL: '', NO_COLOR: '1' });
    const port = await eventually(() => /, port (\d+)\n/.exec(demo.stdout)?.[1] ?? false, {
      timeoutMs: TIMEOUT_MS,
    });
    const { lines: commands } = redis.track(
      await recordMonitor(`redis://127.0.0.1:${port}`),
      // The demo has stopped its server by then.
      (one) => one.stop().catch(() => {}),
    );
    await expect(demo.exited).resolves.toEqual({ code: 0, signal: null });
    expectNoTokenOf(commands, demo.stdout + demo.stderr);
    const lines = demo.stdout.split('\n');
    expect(lines[0]).toMatch(/^(Redis|Valkey) \d+\.\d+\.\d+ \(.+\), port \d+$/);
    const table = lines.slice(lines.findIndex((line) => line.startsWith('ms ')));
    expect(table[0]).toMatch(/^ms +saved +renewed +overwritten +expired\* +saved again +cleared$/);
    for (const [index, instance] of INSTANCES.entries()) {
      expect(table[index + 1]).toMatch(new RegExp(`^${instance}( +\\d+\\.\\d\\d){6}$`));
    }
    expect(demo.stdout).toMatch(/instance-\d {2}kill -9 .* still 1 refresh\n/);
    expect(demo.stdout).toMatch(/instance-\d {2}takes over \d+ ms after the kill/);
    expect(demo.stdout).toContain('\nprovider: 2 refreshes, 0 logins revoked\n');
    expect(demo.stdout).toMatch(/\nEvery instance saw everything, in \d+\.\d s\.\n$/);
    // No color codes where nobody can see colors.
    expect(demo.stdout).not.toContain('\u001b');
  });

  it('runs in one process and says so where no Redis can be found', async () => {
    const nothingThere = { REDIS_URL: '', TEST_REDIS: 'binary', REDIS_SERVER: '/no/redis-server' };
    const demo = await runDemo(nothingThere, '--json');
    expect(demo.stderr).toBe('');
    expect(demo.code).toBe(0);
    const events = eventsIn(demo.stdout);
    expect(events[0]).toMatchObject({
      event: 'embedded',
      why: expect.stringMatching(/no Redis/) as string,
    });
    for (const instance of INSTANCES) {
      expect(ofKind(events, 'told').filter((one) => one.instance === instance)).toMatchObject(
        STEPS.map(({ type, source }) => ({ type, source })),
      );
    }
    // One refresh for all of them; and nobody can be killed alone.
    expect(
      ofKind(events, 'received')
        .map(({ instance }) => instance)
        .sort(),
    ).toEqual(INSTANCES);
    expect(ofKind(events, 'logins')).toMatchObject([{ refreshes: 1, revoked: 0 }]);
    expect(ofKind(events, 'killed')).toEqual([]);
    expect(ofKind(events, 'left-out')).toMatchObject([
      { why: expect.stringMatching(/^Without a Redis /) as string },
    ]);
  });

  it('fails when the holder of the lease is not replaced', async () => {
    const server = await redis.startRedis({ config: NOTIFICATIONS });
    const demo = await startDemo({ REDIS_URL: server.url }, '--json');
    const pids = await instancePids(demo);
    await eventually(() => demo.stdout.includes('"event":"killed"'), { timeoutMs: TIMEOUT_MS });
    for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGSTOP');
    await expect(demo.exited).resolves.toMatchObject({ code: 1 });
    const result = eventsIn(demo.stdout).at(-1);
    expect(result).toMatchObject({
      event: 'result',
      ok: false,
      problem: 'no instance has taken over from the one that was killed',
    });
  });

  it('fails and names the process that saw nothing', async () => {
    const server = await redis.startRedis({ config: NOTIFICATIONS });
    const demo = await startDemo({ REDIS_URL: server.url }, '--json');
    // Between being ready and the last scene.
    const [, , victim] = await instancePids(demo);
    process.kill(victim!, 'SIGKILL');
    await expect(demo.exited).resolves.toMatchObject({ code: 1 });
    const result = eventsIn(demo.stdout).at(-1);
    expect(result).toMatchObject({ event: 'result', ok: false });
    expect(result).toMatchObject({ problem: expect.stringMatching(/^instance-3 /) as string });
  });

  it('fails and says where it looked when the given Redis does not answer', async () => {
    const server = await redis.startRedis();
    await server.stop();
    const { code, stdout } = await runDemo({
      REDIS_URL: `redis://:canary-password@127.0.0.1:${server.port}`,
    });
    expect(code).toBe(1);
    expect(stdout).toBe(`Failed: no Redis answers at redis://127.0.0.1:${server.port}\n`);
  });

  it('cleans up half-way on Ctrl-C', async () => {
    const server = await redis.startRedis({ config: NOTIFICATIONS });
    const demo = await startDemo({ REDIS_URL: server.url }, '--json');
    const pids = await instancePids(demo);
    await eventually(() => demo.stdout.includes('"type":"saved"'), {
      timeoutMs: TIMEOUT_MS,
    });
    process.kill(demo.pid, 'SIGINT');
    await expect(demo.exited).resolves.toEqual({ code: 130, signal: null });
    expect(pids.filter(isAlive)).toEqual([]);
    expect(await redis.connect(server).keys('credstream-demo:*')).toEqual([]);
  });

  it('leaves no process behind when it is killed half-way', async () => {
    const demo = await startDemo({ REDIS_URL: '' }, '--json');
    const pids = await instancePids(demo);
    const [found] = ofKind(eventsIn(demo.stdout), 'redis');
    await demo.kill();
    await eventually(() => expect(pids.filter(isAlive)).toEqual([]), { timeoutMs: TIMEOUT_MS });
    const client = redis.connect(`redis://127.0.0.1:${found!.port}`, { maxRetriesPerRequest: 0 });
    // The reaper of containers takes its time.
    await eventually(() => expect(client.ping()).rejects.toThrow(), { timeoutMs: TIMEOUT_MS });
  });

  function runDemo(
    env: Readonly<Record<string, string>>,
    ...args: string[]
  ): Promise<FinishedProcess> {
    return run(DEMO, { env, args, timeoutMs: TIMEOUT_MS });
  }

  async function startDemo(
    env: Readonly<Record<string, string>>,
    ...args: string[]
  ): Promise<NodeProcess> {
    const demo = await startNodeProcess(`${EXAMPLES}${DEMO}`, { env, args });
    return redis.track(demo, (one) => one.stop());
  }
});

function eventsIn(stdout: string): DemoEvent[] {
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as DemoEvent);
}

function ofKind<Kind extends DemoEvent['event']>(
  events: readonly DemoEvent[],
  kind: Kind,
): Extract<DemoEvent, { event: Kind }>[] {
  return events.filter((one): one is Extract<DemoEvent, { event: Kind }> => one.event === kind);
}

/** The processes of the instances, as soon as all of them watch. */
function instancePids(demo: NodeProcess): Promise<number[]> {
  return eventually(
    () => {
      const complete = demo.stdout.slice(0, demo.stdout.lastIndexOf('\n'));
      const instances = ofKind(eventsIn(complete), 'instance');
      expect(instances, demo.stderr).toHaveLength(INSTANCES.length);
      return instances.map(({ where }) => Number(where.replace('process ', '')));
    },
    { timeoutMs: TIMEOUT_MS },
  );
}

/** One refresh for the first end, and one more although the instance that was about to make it is dead. */
function expectTwoRefreshes(events: readonly DemoEvent[]): void {
  expect(ofKind(events, 'refreshed').map(({ refreshes }) => refreshes)).toEqual([1, 2]);
  expect(ofKind(events, 'calling')).toMatchObject([
    { attempt: 1, cause: 'expiring', inDoubt: false },
    { attempt: 2, cause: 'expiring', inDoubt: false },
    { attempt: 3, inDoubt: true },
  ]);
  const [{ instance: killed, refreshes }] = ofKind(events, 'killed') as [
    Extract<DemoEvent, { event: 'killed' }>,
  ];
  expect(refreshes).toBe(1);
  const [takeover] = ofKind(events, 'took-over');
  expect(takeover?.instance).not.toBe(killed);
  expect(takeover?.afterMs).toBeGreaterThan(0);
  const left = INSTANCES.filter((instance) => instance !== killed);
  const received = ofKind(events, 'received').map(({ instance }) => instance);
  expect(received.slice(0, 3).sort()).toEqual(INSTANCES);
  expect(received.slice(3).sort()).toEqual(left);
  const [logins] = ofKind(events, 'logins');
  expect(logins).toMatchObject({ refreshes: 2, revoked: 0 });
  expect(Object.keys(logins!.asked)).toEqual(left);
  for (const { answers, refusals, leastValidMs } of Object.values(logins!.asked)) {
    expect(answers).toBeGreaterThan(10);
    expect(refusals).toBe(0);
    expect(leastValidMs).toBeGreaterThanOrEqual(500);
  }
}

/** What was written to Redis as a token stands nowhere in the output. */
function expectNoTokenOf(commands: readonly MonitoredCommand[], output: string): void {
  const written = commands.flatMap(({ text }) =>
    Array.from(
      text.matchAll(/"(?:access|refresh)Token\\*":\\*"([^"\\]+)/g),
      ([, token = '']) => token,
    ),
  );
  const tokens = new Set(written.filter((token) => !token.startsWith('dummy ')));
  // Three access tokens alone, and three pairs: one of a login, two of refreshes.
  expect(tokens.size).toBe(9);
  for (const token of tokens) expect(output).not.toContain(token);
}
