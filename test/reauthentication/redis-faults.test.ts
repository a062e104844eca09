import { describe, expect, it } from 'vitest';

import { slowness } from '../support/slowness.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { deferred, eventually } from '../support/wait.js';
import { type Scene, useCluster } from './support/cluster.js';
import { whoIsAt } from './support/remote-instance.js';

const cluster = useCluster();

/** An attempt that came late may run for a moment until it sees that there is nothing left to do. */
async function expectFinished(scene: Scene): Promise<void> {
  await eventually(async () => {
    const { failures, outcome } = (await scene.record())!;
    expect(['committed', 'needless']).toContain(outcome);
    expect(failures).toBe(0);
  });
}

async function expectOneRefresh(scene: Scene): Promise<void> {
  await eventually(async () => {
    const stored = await scene.stored();
    expect(stored).toBeDefined();
    expect(stored).not.toEqual(scene.first);
  });
  await scene.agree((await scene.stored())!.accessToken);
  await Promise.all(scene.instances.map((instance) => instance.isIn('idle')));
  const { calls, revoked } = await cluster.provider.report();
  expect(calls.map(({ outcome }) => outcome)).toEqual(['granted']);
  expect(revoked).toBe(0);
  const views = await Promise.all(scene.instances.map((instance) => instance.view()));
  expect(views.reduce((sum, { counts }) => sum + counts.committed, 0)).toBe(1);
  expect(scene.instances.flatMap((instance) => instance.said('discarded'))).toEqual([]);
  await expectFinished(scene);
}

describe('Redis loses all data while the holder is at the provider', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['by FLUSHALL', () => cluster.admin.flushall()],
    ['by a restart', () => cluster.redis.restart()],
  ])('by %s: the new credentials are stored, and every instance gets them', async (_how, lose) => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    await lose();
    await holder.call({ does: 'pass' });
    await expectOneRefresh(scene);
    expect(holder.said('discarded')).toEqual([]);
  });

  it('and another instance takes the lease, which finds nothing to refresh with', async () => {
    // So that no renewal brings the lease back before.
    const scene = await cluster.play(3_600_000, {
      gates: ['after'],
      reauthenticator: { leaseMs: 9_000 },
    });
    const [holder, ...rest] = scene.instances;
    await holder!.call({ does: 'reject', times: 1 });
    await holder!.says('gate');
    await cluster.admin.flushall();
    await eventually(async () => {
      for (const instance of rest) expect((await instance.view()).stored).toBe('absent');
    });
    const asking = rest.map((instance) => instance.call({ does: 'get' }));
    await Promise.any(rest.map((instance) => instance.says('failure', ({ fatal }) => !fatal)));
    await holder!.call({ does: 'pass' });
    await expectOneRefresh(scene);
    expect(holder!.said('discarded')).toEqual([]);
    const { accessToken: token } = (await scene.stored())!;
    expect(await Promise.all(asking)).toEqual(rest.map(() => ({ token })));
  });

  it('and is back for a while before the answer comes', async () => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    await cluster.redis.restart();
    await eventually(async () => {
      for (const instance of scene.instances) {
        const { link, stored } = await instance.view();
        expect([link, stored]).toEqual(['live', 'absent']);
      }
    });
    // The lease comes back with its next renewal; from then on also those wait who ask for what is no longer there.
    await eventually(async () => expect(await scene.record()).toMatchObject({ number: 1 }));
    const asking = scene.instances.map((instance) => instance.call({ does: 'get' }));
    await holder.call({ does: 'pass' });
    await expectOneRefresh(scene);
    const { accessToken: token } = (await scene.stored())!;
    expect(await Promise.all(asking)).toEqual(scene.instances.map(() => ({ token })));
  });
});

type Loss = 'with the link' | 'in silence';

/** Lets the next command with this text through to Redis, and its answer get lost; resolves when it has been sent. */
function loseAnswer(network: TcpProxy, text: string, how: Loss): Promise<unknown> {
  if (how === 'with the link') return network.cutAfter('toServer', text);
  const lost = deferred();
  const stop = network.onData('toServer', (chunk, link) => {
    if (!chunk.toString('latin1').includes(text)) return undefined;
    stop();
    network.pause('toClient', { select: ({ id }) => id === link.id });
    lost.resolve();
    return undefined;
  });
  return lost.promise;
}

describe.each<Loss>(['with the link', 'in silence'])('a reply gets lost %s', (how) => {
  it.each([
    ['first read', 'credstream:attempt:'],
    ['lease', '"outcome":"running"'],
    ['commit', '"outcome":"committed"'],
  ])('of the %s: one refresh all the same, and its result is seen', async (_of, text) => {
    const network = await cluster.proxy();
    const lost = loseAnswer(network, text, how);
    const scene = await cluster.play(0, { redisUrl: network.url });
    await lost;
    await expectOneRefresh(scene);
  });

  it('of a renewal: the lease is kept, and no other instance takes over', async () => {
    const network = await cluster.proxy();
    // The lost reply takes half a second of it; a busy machine needs some of the rest.
    const leaseMs = 2_000 * slowness();
    const scene = await cluster.play(0, {
      redisUrl: network.url,
      gates: ['after'],
      // The attempt lasts for longer than its first lease.
      reauthenticator: { leaseMs, attemptTimeoutMs: 10 * leaseMs },
    });
    const holder = await whoIsAt('after', scene.instances);
    const { leaseEndsAt } = (await scene.record())!;
    await loseAnswer(network, '"outcome":"running"', how);
    // Past the end of the lease that it had then; only later renewals can bring that about.
    await eventually(() => expect(Date.now()).toBeGreaterThan(leaseEndsAt + 500));
    expect(await scene.record()).toMatchObject({ number: 1, outcome: 'running' });
    await holder.call({ does: 'pass' });
    await expectOneRefresh(scene);
  });

  it('of an end: the failure counts once, and the next attempt comes when it is due', async () => {
    const { provider } = cluster;
    await provider.behave('down');
    const network = await cluster.proxy();
    const lost = loseAnswer(network, '"outcome":"failed"', how);
    const scene = await cluster.play(0, { redisUrl: network.url });
    await lost;
    expect(await scene.record()).toMatchObject({ number: 1, failures: 1, outcome: 'failed' });
    await provider.behave('normal');
    await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
    await scene.agree((await scene.stored())!.accessToken);
    const { calls } = await provider.report();
    const outcomes = calls.map(({ outcome }) => outcome);
    expect(outcomes.at(-1)).toBe('granted');
    expect(outcomes.slice(0, -1).every((outcome) => outcome === 'down')).toBe(true);
    await expectFinished(scene);
  });
});
