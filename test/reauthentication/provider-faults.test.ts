import { describe, expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { REAUTHENTICATOR, type Scene, useCluster } from './support/cluster.js';
import type { RefreshCall } from './support/provider-protocol.js';
import { whoIsAt } from './support/remote-instance.js';

const cluster = useCluster();

/** Long enough for a test, and for the lead, which is half of it at most, to be far away. */
const VALID_MS = 60_000;

const outcomesOf = (calls: readonly RefreshCall[]): string[] => calls.map(({ outcome }) => outcome);

/** All instances have new credentials, and rest. */
async function recovered(scene: Scene): Promise<string> {
  await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
  const { accessToken } = (await scene.stored())!;
  await scene.agree(accessToken);
  await Promise.all(scene.instances.map((instance) => instance.isIn('idle')));
  return accessToken;
}

/** One instance reports the token, so that there is something to do while the token itself stays valid for all others. */
async function rejectByOne(scene: Scene): Promise<void> {
  await scene.instances[0]!.call({ does: 'reject', times: 1 });
}

/** The pauses between calls are at least those of one sequence of failures, whoever made them. */
function expectBackedOff(calls: readonly RefreshCall[]): void {
  const { backOffMs, maxBackOffMs } = REAUTHENTICATOR;
  for (const [index, { at }] of calls.slice(1).entries()) {
    const longest = Math.min(backOffMs * 2 ** index, maxBackOffMs);
    // The provider notes the next call some milliseconds later or earlier in it than this one.
    expect(at - calls[index]!.at).toBeGreaterThan(longest / 2 - 10);
  }
}

describe('a provider that answers 500', () => {
  it('is called again after pauses that all instances share, and the old token is served while it is valid', async () => {
    const { provider } = cluster;
    await provider.behave('down');
    const scene = await cluster.play(VALID_MS);
    await rejectByOne(scene);
    const others = scene.instances.slice(1);
    for (const instance of others) {
      expect(await instance.call({ does: 'get' })).toEqual({ token: scene.first.accessToken });
    }
    await eventually(async () => expect((await provider.report()).calls.length).toBeGreaterThan(2));
    for (const instance of others) {
      expect(await instance.call({ does: 'get' })).toEqual({ token: scene.first.accessToken });
    }
    expect(await scene.stored()).toEqual(scene.first);
    await provider.behave('normal');
    await recovered(scene);
    const { calls, revoked } = await provider.report();
    const outcomes = outcomesOf(calls);
    expect(outcomes.pop()).toBe('granted');
    expect(new Set(outcomes)).toEqual(new Set(['down']));
    expect(revoked).toBe(0);
    expectBackedOff(calls);
  });

  it('is called no more often when every instance needs the token', async () => {
    const { provider } = cluster;
    await provider.behave('down');
    const scene = await cluster.play(0);
    const asking = scene.instances.map((instance) => instance.call({ does: 'get' }));
    await eventually(async () => expect((await provider.report()).calls.length).toBeGreaterThan(4));
    // Not only one of them had its turn, and still the pauses grew as if there were only one.
    const { failures } = (await scene.record())!;
    expect(failures).toBeGreaterThanOrEqual(4);
    expect(await scene.stored()).toEqual(scene.first);
    await provider.behave('normal');
    const token = await recovered(scene);
    expect(await Promise.all(asking)).toEqual(scene.instances.map(() => ({ token })));
    const { calls } = await provider.report();
    expectBackedOff(calls);
    expect(outcomesOf(calls).filter((outcome) => outcome === 'granted')).toHaveLength(1);
  });
});

it('an unreachable provider leads to the same pauses, and nothing is cleared', async () => {
  const { provider } = cluster;
  const scene = await cluster.play(0, { gates: ['before'] });
  const holder = await whoIsAt('before', scene.instances);
  await provider.tell('vanish');
  for (const instance of scene.instances) await instance.call({ does: 'pass' });
  await eventually(async () => expect((await scene.record())!.failures).toBeGreaterThan(2));
  expect(holder.said('failure')[0]).toMatchObject({ fatal: false });
  expect(await scene.stored()).toEqual(scene.first);
  await provider.tell('return');
  await recovered(scene);
  expect(outcomesOf((await provider.report()).calls)).toEqual(['granted']);
});

describe('a provider that is slower than attemptTimeoutMs', () => {
  const attemptTimeoutMs = 300;

  it('is abandoned and called again, by an attempt that knows the doubt', async () => {
    const { provider } = cluster;
    await provider.behave({ type: 'slow', ms: 600 });
    const scene = await cluster.play(0, { reauthenticator: { attemptTimeoutMs } });
    await eventually(async () => expect((await scene.record())?.outcome).toBe('unanswered'));
    expect(await scene.stored()).toEqual(scene.first);
    await provider.behave('normal');
    await recovered(scene);
    const aborted = scene.instances.flatMap((instance) => instance.said('aborted'));
    expect(aborted[0]?.why).toContain('attemptTimeoutMs');
    const views = await Promise.all(scene.instances.map((instance) => instance.view()));
    const takeovers = views.reduce((sum, { counts }) => sum + counts.takeovers, 0);
    const unanswered = views.reduce((sum, { counts }) => sum + counts.unanswered, 0);
    expect(takeovers).toBe(unanswered);
    expect(outcomesOf((await provider.report()).calls).at(-1)).toBe('granted');
  });

  it('and answers before the next attempt starts has its result stored', async () => {
    const { provider } = cluster;
    await provider.behave({ type: 'slow', ms: 600 });
    const scene = await cluster.play(0, {
      deaf: true,
      // Twice as long as the provider takes.
      reauthenticator: { attemptTimeoutMs, backOffMs: 4_000, maxBackOffMs: 4_000 },
    });
    await eventually(async () => expect((await scene.record())?.outcome).toBe('unanswered'));
    await recovered(scene);
    expect(outcomesOf((await provider.report()).calls)).toEqual(['granted']);
    expect(scene.instances.flatMap((instance) => instance.said('discarded'))).toEqual([]);
  });
});

it('a provider that answers invalid_grant is called once, and every instance stops until a login', async () => {
  const { provider } = cluster;
  const scene = await cluster.play(0, { gates: ['before'] });
  await provider.tell('revoke');
  const asking = scene.instances.map((instance) => instance.call({ does: 'get' }));
  for (const instance of scene.instances) await instance.call({ does: 'pass' });
  const fatal = { code: 'REAUTHENTICATION_FAILED', reason: 'fatal', oauthError: 'invalid_grant' };
  expect(await Promise.all(asking)).toEqual(scene.instances.map(() => ({ error: fatal })));
  await Promise.all(scene.instances.map((instance) => instance.isIn('failed')));
  expect(await scene.stored()).toEqual(scene.first);
  // Also one that comes later, and whoever asks again.
  const late = await cluster.start();
  cluster.track(late, (instance) => instance.stop());
  await late.call({ does: 'open', settings: cluster.settings(scene.key) });
  for (const instance of [...scene.instances, late])
    expect(await instance.call({ does: 'get' })).toEqual({ error: fatal });
  expect(outcomesOf((await provider.report()).calls)).toEqual(['invalid_grant']);

  const { accessToken } = await scene.logIn();
  await scene.agree(accessToken, [...scene.instances, late]);
  await Promise.all([...scene.instances, late].map((instance) => instance.isIn('idle')));
  // And it goes on as before.
  await rejectByOne(scene);
  await eventually(async () => expect((await scene.stored())!.accessToken).not.toBe(accessToken));
  expect(outcomesOf((await provider.report()).calls)).toEqual(['invalid_grant', 'granted']);
});

it('a valid token that cannot be renewed is served until its end, and not after it', async () => {
  const { provider } = cluster;
  const scene = await cluster.play(3_000, { gates: ['before'] });
  await provider.tell('revoke');
  for (const instance of scene.instances) await instance.call({ does: 'pass' });
  await Promise.all(scene.instances.map((instance) => instance.isIn('failed')));
  const answers = await Promise.all(
    scene.instances.map((instance) => instance.call({ does: 'get' })),
  );
  if (Date.now() < scene.first.expiresAt)
    expect(answers).toEqual(scene.instances.map(() => ({ token: scene.first.accessToken })));
  await eventually(() => expect(Date.now()).toBeGreaterThan(scene.first.expiresAt));
  for (const instance of scene.instances)
    expect(await instance.call({ does: 'get' })).toMatchObject({ error: { reason: 'fatal' } });
  expect(outcomesOf((await provider.report()).calls)).toEqual(['invalid_grant']);
  expect(await scene.stored()).toEqual(scene.first);
});

it('a provider that returns the same token again keeps no caller waiting for a change', async () => {
  const { provider } = cluster;
  const scene = await cluster.play(0);
  const token = await recovered(scene);
  const stored = (await scene.stored())!;
  await provider.behave('same');
  await rejectByOne(scene);
  await eventually(async () => expect((await scene.record())?.outcome).toBe('unchanged'));
  // The others were never told that it is bad.
  for (const instance of scene.instances.slice(1)) {
    expect(await instance.call({ does: 'get' })).toEqual({ token });
  }
  const waiting = scene.instances[0]!.call({ does: 'get' });
  await eventually(async () => expect((await scene.record())!.failures).toBeGreaterThan(1));
  expect(await scene.stored()).toEqual(stored);
  await provider.behave('normal');
  await eventually(async () => expect(await scene.stored()).not.toEqual(stored));
  const { accessToken } = (await scene.stored())!;
  expect(await waiting).toEqual({ token: accessToken });
  await scene.agree(accessToken);
  const { calls, revoked } = await provider.report();
  expectBackedOff(calls.slice(1));
  expect(revoked).toBe(0);
  expect(outcomesOf(calls).filter((outcome) => outcome === 'granted')).toHaveLength(2);
});
