import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { type NodeProcess, startNodeProcess } from '../support/node-process.js';
import { uniqueKey, useRedis } from '../support/redis.js';
import type { Order, Said } from './consumer/instance.js';
import { packTwoVersions, type TwoVersions } from './two-versions.js';

// Compilers on a busy machine.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let programs: TwoVersions;
beforeAll(async () => {
  programs = await packTwoVersions();
});
afterAll(() => programs[Symbol.asyncDispose]());

const redis = useRedis();

type Instance = NodeProcess<Said, Order>;
type Saying<S extends Said['says']> = Extract<Said, { readonly says: S }>;

/** Awaits a message of one kind. */
function hear<S extends Said['says']>(
  instance: Instance,
  says: S,
  fits: (said: Saying<S>) => boolean = () => true,
): Promise<Saying<S>> {
  const isIt = (said: Said): said is Saying<S> => said.says === says && fits(said as Saying<S>);
  return instance.next(isIt);
}

/** An instance of each version, on one Redis that sends no notifications. */
async function sideBySide() {
  const server = await redis.startRedis();
  const admin = redis.connect(server);
  const key = uniqueKey();
  const start = async (program: string, name: string) => {
    const instance: Instance = await startNodeProcess(program, { args: [server.url, key, name] });
    redis.track(instance, (one) => one.stop());
    const { version } = await hear(instance, 'ready');
    return { instance, version };
  };
  const [older, newer] = await Promise.all([
    start(programs.older, 'older'),
    start(programs.newer, 'newer'),
  ]);
  expect(newer.version).toBe('99.0.0');
  expect(older.version).not.toBe(newer.version);
  const recordKey = `credstream:attempt:{${key}}:${key}`;
  const calls = (): number =>
    [older, newer].flatMap(({ instance }) =>
      instance.messages.filter(({ says }) => says === 'call'),
    ).length;
  return { admin, key, recordKey, older: older.instance, newer: newer.instance, calls };
}

test('two versions see the changes of each other at once, and the older one believes no label of the newer', async () => {
  const { admin, key, older, newer } = await sideBySide();
  await older.send({ does: 'save', token: 'a', reason: 'of the older' });
  expect(await hear(newer, 'change')).toMatchObject({
    change: { type: 'saved', origin: { name: 'older' }, reason: 'of the older' },
    token: 'a',
  });
  await newer.send({ does: 'save', token: 'b', reason: 'of the newer' });
  expect(await hear(older, 'change', ({ token }) => token === 'b')).toMatchObject({
    change: { type: 'saved', origin: 'unknown' },
  });
  expect(await admin.get(key)).toBe('{"token":"b"}');
  await newer.send({ does: 'clear', reason: 'of the newer' });
  const cleared = await hear(older, 'change', ({ token }) => token === undefined);
  expect(cleared).toMatchObject({ change: { type: 'cleared', origin: 'unknown' } });
  expect(JSON.stringify(older.messages)).not.toContain('of the newer');
});

test('two versions re-authenticate once for both, whichever of them has begun', async () => {
  const { admin, recordKey, older, newer, calls } = await sideBySide();
  await older.send({ does: 'get' });
  expect(await hear(older, 'call')).toMatchObject({ attempt: 1 });
  await newer.send({ does: 'get' });
  await hear(newer, 'state', ({ state }) => 'type' in state && state.type === 'waiting');
  await older.send({ does: 'answer', token: 'by the older' });
  expect(await hear(older, 'got')).toMatchObject({ token: 'by the older' });
  expect(await hear(newer, 'got')).toMatchObject({ token: 'by the older' });
  expect(calls()).toBe(1);

  await newer.send({ does: 'reject' });
  expect(await hear(newer, 'call')).toMatchObject({ attempt: 2 });
  const record = await admin.get(recordKey);
  expect(JSON.parse(record!)).toMatchObject({ v: 2, outcome: 'running' });
  await older.send({ does: 'reject' });
  await older.send({ does: 'get' });
  const keptOff = await hear(older, 'state', ({ error }) => error !== undefined);
  expect(keptOff).toMatchObject({
    state: { type: 'backing-off' },
    error: expect.stringMatching(/newer version of credstream .* keeps off/) as string,
  });
  expect(await admin.get(recordKey)).toBe(record);
  await newer.send({ does: 'answer', token: 'by the newer' });
  expect(await hear(older, 'got')).toMatchObject({ token: 'by the newer' });
  await newer.send({ does: 'get' });
  expect(await hear(newer, 'got')).toMatchObject({ token: 'by the newer' });
  expect(calls()).toBe(2);
});

test('after a way back to the older version it calls the provider again as soon as the record is removed', async () => {
  const { admin, recordKey, older, newer, calls } = await sideBySide();
  await newer.send({ does: 'get' });
  await hear(newer, 'call');
  await newer.kill();
  await older.send({ does: 'get' });
  await hear(older, 'state', ({ error }) => error !== undefined);
  expect(calls()).toBe(1);
  expect(await admin.pttl(recordKey)).toBeGreaterThan(3_500_000);
  await admin.del(recordKey);
  expect(await hear(older, 'call')).toMatchObject({ attempt: 1 });
  await older.send({ does: 'answer', token: 'by the older' });
  expect(await hear(older, 'got')).toMatchObject({ token: 'by the older' });
});
