import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { systemClock } from '../../src/index.js';
import { latenessMs, noiseMs } from '../support/machine-noise.js';
import { collect, eventually } from '../support/wait.js';
import { KEY, NO_ROUNDS, saved, say, useFaults } from './support/faults.js';
import { watchKeys } from './support/many.js';
import { serverNow } from './support/server.js';

const { connect, proxy, startNotifying, startRedis, track, watch } = useFaults();

/** Far more than it takes; how late exactly is for the benchmarks to say. */
const LATE_MS = 100;

describe('a server that sends no expiry notifications', () => {
  it.each([
    ['notifications are off and Redis removes nothing by itself', '', false],
    ['a hundred thousand other keys have a TTL too', 'KEA', true],
  ] as const)('does not delay expired: %s', async (_what, flags, crowded) => {
    const server = await startRedis({
      config: { 'notify-keyspace-events': flags, 'enable-debug-command': 'yes' },
    });
    const admin = connect(server);
    if (crowded) await crowd(admin, 100_000);
    else await admin.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
    const keys = Array.from({ length: 100 }, (_, index) => `token:${index}`);
    const pipeline = admin.pipeline();
    for (const [index, key] of keys.entries()) pipeline.set(key, 'v1', 'PX', 4_000 + 10 * index);
    await pipeline.exec();
    const watched = watchKeys(connect(server, { lazyConnect: true }), keys, NO_ROUNDS);
    for (const { store } of watched) track(store, () => store.close());
    const lateness = await Promise.all(
      watched.map(async ({ store, states, changes }) => {
        await states.next(({ type }) => type === 'present');
        const { expiresAt } = store.current!;
        const expired = await changes.next();
        const seenAt = Date.now();
        expect(expired).toMatchObject({ type: 'expired', source: 'live', expiresAt });
        expect(expired.at).toBeGreaterThan(expiresAt!);
        return seenAt - expiresAt!;
      }),
    );
    lateness.sort((a, b) => a - b);
    expect(lateness[0]).toBeGreaterThanOrEqual(0);
    expect(lateness[50]).toBeLessThan(LATE_MS + latenessMs());
    expect(lateness.at(-1)).toBeLessThan(LATE_MS + noiseMs());
    // By asking at the end, every instance makes Redis remove the key, and tell those who listen.
    const removed = /^expired_keys:(\d+)/m.exec(await admin.info('stats'))?.[1];
    expect(Number(removed)).toBeGreaterThanOrEqual(keys.length);
  });

  it('does not hide an end that moved just before it was reached', async () => {
    const server = await startRedis();
    const admin = connect(server);
    const { store, changes } = await watch(server, NO_ROUNDS);
    await store.save('v1', { ttlSeconds: 1 });
    let end = store.current!.expiresAt!;
    for (let round = 1; round <= 3; round += 1) {
      end += 500;
      expect(await admin.pexpireat(KEY, end)).toBe(1);
      // Nobody tells the store; it comes at the end that it knows and finds another.
      expect(await changes.next(({ type }) => type !== 'saved')).toMatchObject({
        type: 'renewed',
        expiresAt: end,
      });
      expect(store.current?.expiresAt).toBe(end);
    }
    expect(await changes.next()).toMatchObject({ type: 'expired' });
    expect(changes.values.map(say)).toEqual([
      'saved v1',
      ...Array.from({ length: 3 }, () => 'renewed v1'),
      'expired v1',
    ]);
  });
});

it('an end in the future is not reported as the one that passed', async () => {
  const server = await startNotifying();
  const admin = connect(server);
  await admin.set(KEY, 'v1', 'PX', 600_000);
  const network = await proxy(server);
  const { changes } = await watch(network, { ...NO_ROUNDS, replyTimeoutMs: 5_000 });
  network.pause('toClient');
  await admin.pexpire(KEY, 20);
  await eventually(async () => expect(await admin.exists(KEY)).toBe(0));
  // That the end was moved and that it passed arrives in one.
  network.resume('toClient');
  const expired = await changes.next();
  expect(expired).toMatchObject({ type: 'expired', expiresAt: undefined });
  expect(say(expired)).toBe('expired v1');
});

describe('a logical end', () => {
  const expiresAt = (text: string): number => Number(text.split('@')[1]);

  it('comes before the TTL takes the bytes, once', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store, changes, states } = await watch(server, { expiresAt });
    const end = Math.ceil(await serverNow(admin)) + 700;
    await admin.set(KEY, `v1@${end}`, 'PXAT', end + 700);
    await changes.next(saved(`v1@${end}`));
    const expired = await changes.next();
    expect(expired).toMatchObject({ type: 'expired', expiresAt: end });
    expect(await serverNow(admin)).toBeLessThan(end + LATE_MS + noiseMs());
    expect(store.current).toBeUndefined();
    // The refresh token beside it can still be read.
    expect(await store.load()).toBe(`v1@${end}`);
    await eventually(async () => expect(await store.load()).toBeUndefined());
    await admin.set(KEY, `v3@${end + 600_000}`);
    await changes.next(saved(`v3@${end + 600_000}`));
    expect(changes.values.map(({ type }) => type)).toEqual(['saved', 'expired', 'saved']);
    // A process that gets no processor at the end learns of it together with the reading that follows.
    expect(states.values.map(({ type }) => type).join(' ')).toMatch(
      /^unknown absent present (?:withheld )?expired present$/,
    );
  });

  it('does not hide a later clear of the bytes', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { changes } = await watch(server, { expiresAt });
    const end = Math.ceil(await serverNow(admin)) + 1_000;
    await admin.set(KEY, `v1@${end}`);
    await changes.next(({ type }) => type === 'expired');
    await admin.del(KEY);
    expect(await changes.next()).toMatchObject({ type: 'cleared' });
  });
});

describe('ends farther away than a timer reaches', () => {
  it.each([2 ** 31 - 1, 2 ** 31, 2 ** 31 + 5, 2 ** 32 + 1, 2 ** 45, 2 ** 52])(
    'do not fire early: %d ms',
    async (ttlMs) => {
      const server = await startNotifying();
      const admin = connect(server);
      const delays: number[] = [];
      const clock = {
        ...systemClock,
        setTimer: (run: () => void, delayMs: number) => {
          delays.push(delayMs);
          return systemClock.setTimer(run, delayMs);
        },
      };
      const { store, changes } = await watch(server, { clock });
      await admin.set(KEY, 'v1', 'PX', ttlMs);
      await changes.next(saved('v1'));
      const before = delays.length;
      await eventually(() => expect(delays.length).toBeGreaterThan(before + 10));
      expect(store.current?.credentials).toBe('v1');
      expect(Math.max(...delays)).toBeLessThanOrEqual(2 ** 30);
      expect(Math.max(...delays)).toBeGreaterThan(2 ** 29);
      // The far deadline gives way to a near one.
      await admin.pexpire(KEY, 100);
      await changes.next(({ type }) => type === 'renewed');
      await changes.next(({ type }) => type === 'expired');
      expect(changes.values.map(say)).toEqual(['saved v1', 'renewed v1', 'expired v1']);
    },
  );

  it('emit expiring$ in time', async () => {
    const server = await startNotifying();
    const admin = connect(server);
    const { store, changes } = await watch(server, NO_ROUNDS);
    const leadMs = 2 ** 31 - 1;
    const warnings = collect(store.expiring$(leadMs));
    const end = Math.ceil(await serverNow(admin)) + leadMs + 400;
    await admin.set(KEY, 'v1', 'PXAT', end);
    await changes.next(saved('v1'));
    expect(await warnings.next()).toMatchObject({ credentials: 'v1', expiresAt: end });
    const lateMs = (await serverNow(admin)) - (end - leadMs);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(LATE_MS + noiseMs());
    expect(warnings.values).toHaveLength(1);
  });
});

async function crowd(admin: Redis, count: number): Promise<void> {
  const script = `for n = 1, ARGV[1] do redis.call('SET', 'other:' .. n, 'x', 'PX', 3600000 + n) end`;
  await admin.eval(script, 0, count);
  expect(await admin.dbsize()).toBeGreaterThanOrEqual(count);
}
