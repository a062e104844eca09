import { describe, expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { REAUTHENTICATOR, type Scene, useCluster } from './support/cluster.js';
import { type RemoteInstance, whoIsAt } from './support/remote-instance.js';

const cluster = useCluster();
const LONG_MS = 3_600_000;

/** Resolves when the lease of the one attempt has run out, by this machine's clock, which is the server's too. */
async function leaseIsOver(scene: Scene): Promise<void> {
  await eventually(async () => {
    const { outcome, leaseEndsAt } = (await scene.record())!;
    expect(outcome).toBe('running');
    expect(Date.now()).toBeGreaterThan(leaseEndsAt);
  });
}

async function expectOneRefresh(scene: Scene, instances: readonly RemoteInstance[]): Promise<void> {
  await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
  await scene.agree((await scene.stored())!.accessToken, instances);
  const { calls, revoked } = await cluster.provider.report();
  expect(calls.map(({ outcome }) => outcome)).toEqual(['granted']);
  expect(revoked).toBe(0);
}

describe('a holder that is stopped for longer than its lease, and goes on,', () => {
  it('before its call learns that another attempt has started, and spends no token', async () => {
    const scene = await cluster.play(0, { gates: ['before'] });
    const holder = await whoIsAt('before', scene.instances);
    await holder.suspend();
    const successor = await whoIsAt('before', scene.instances, holder);
    await successor.call({ does: 'pass' });
    await expectOneRefresh(
      scene,
      scene.instances.filter((instance) => instance !== holder),
    );
    holder.resume();
    expect(await holder.says('aborted')).toMatchObject({
      why: 'Error: another instance has started to re-authenticate',
    });
    await holder.call({ does: 'pass' });
    await holder.isIn('idle');
    await expectOneRefresh(scene, scene.instances);
    expect((await scene.record())?.outcome).toBe('committed');
  });

  it('with a result while a successor runs is refused, and hands its result over', async () => {
    const scene = await cluster.play(0, { gates: ['before', 'after'] });
    const holder = await whoIsAt('before', scene.instances);
    await holder.call({ does: 'pass', at: 'before' });
    await holder.says('gate', ({ at }) => at === 'after');
    await holder.suspend();
    const successor = await whoIsAt('before', scene.instances, holder);
    expect(successor.said('gate')[0]).toMatchObject({ attempt: 2, inDoubt: true });
    holder.resume();
    await holder.call({ does: 'pass' });
    expect(await holder.says('discarded')).toMatchObject({ reason: 'superseded' });
    expect(await scene.stored()).toEqual(scene.first);
    expect(await scene.record()).toMatchObject({ number: 2, outcome: 'running' });
    // What was spent stays spent.
    await successor.call({ does: 'pass' });
    await Promise.all(scene.instances.map((instance) => instance.isIn('failed')));
    expect((await cluster.provider.report()).calls).toHaveLength(2);
    expect(await scene.stored()).toEqual(scene.first);
  });

  it('with a result before or after that of a successor leaves the result of the last attempt stored', async () => {
    const { provider } = cluster;
    // With a provider where both can get one.
    await provider.behave('normal', { rotation: false });
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    await holder.suspend();
    const successor = await whoIsAt('after', scene.instances, holder);
    await successor.call({ does: 'pass' });
    await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
    const stored = (await scene.stored())!;
    holder.resume();
    await holder.call({ does: 'pass' });
    const { reason, token } = await holder.says('discarded');
    expect(reason).toBe('superseded');
    expect(token).not.toBe(stored.accessToken);
    await scene.agree(stored.accessToken);
    expect(await scene.stored()).toEqual(stored);
    expect((await provider.report()).calls).toHaveLength(2);
  });

  it('after all others have closed stores its result', async () => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    const rest = scene.instances.filter((instance) => instance !== holder);
    await Promise.all(rest.map((instance) => instance.kill()));
    await holder.suspend();
    await leaseIsOver(scene);
    holder.resume();
    await holder.call({ does: 'pass' });
    await expectOneRefresh(scene, [holder]);
    expect(holder.said('discarded')).toEqual([]);
  });

  it('while no other needs credentials stores its result, and the others receive it', async () => {
    const scene = await cluster.play(LONG_MS, { gates: ['after'] });
    const [holder] = scene.instances;
    await holder!.call({ does: 'reject', times: 1 });
    await holder!.says('gate');
    await holder!.suspend();
    await leaseIsOver(scene);
    holder!.resume();
    await holder!.call({ does: 'pass' });
    await expectOneRefresh(scene, scene.instances);
  });
});

describe('SIGTERM in the middle of a call', () => {
  it('lets the call finish, and stores its result', async () => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    holder.terminate();
    await holder.isIn('authenticating');
    await holder.call({ does: 'pass' });
    await holder.says('ended');
    expect(await holder.exited).toEqual({ code: 0, signal: null });
    expect(holder.said('aborted')).toEqual([]);
    await expectOneRefresh(
      scene,
      scene.instances.filter((instance) => instance !== holder),
    );
  });

  it('aborts the call after drainMs, and leaves its record for a successor, which is in doubt', async () => {
    const drainMs = 200;
    const scene = await cluster.play(0, { gates: ['before'], reauthenticator: { drainMs } });
    const holder = await whoIsAt('before', scene.instances);
    holder.terminate();
    expect(await holder.says('aborted')).toMatchObject({
      why: 'Error: the reauthenticator was closed',
    });
    const { tookMs } = await holder.says('ended');
    expect(tookMs).toBeGreaterThanOrEqual(drainMs - 1);
    expect(tookMs).toBeLessThan(drainMs + REAUTHENTICATOR.drainMs / 2);
    expect(await holder.exited).toEqual({ code: 0, signal: null });
    const rest = scene.instances.filter((instance) => instance !== holder);
    const successor = await whoIsAt('before', rest);
    expect(successor.said('gate')[0]).toMatchObject({ attempt: 2, inDoubt: true });
    await successor.call({ does: 'pass' });
    await expectOneRefresh(scene, rest);
  });
});
