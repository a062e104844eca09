import { describe, expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { type Scene, useCluster } from './support/cluster.js';
import { type RemoteInstance, whoIsAt } from './support/remote-instance.js';

const cluster = useCluster();

/** Nobody calls again, everybody says so, and what is stored is left as it is, until somebody logs in. */
async function expectFailedForAll(
  scene: Scene,
  instances: readonly RemoteInstance[],
): Promise<void> {
  const { provider } = cluster;
  await Promise.all(instances.map((instance) => instance.isIn('failed')));
  for (const instance of instances) {
    expect(instance.said('state').at(-1)).toMatchObject({ oauthError: 'invalid_grant' });
    expect(await instance.call({ does: 'get', timeoutMs: 5_000 })).toEqual({
      error: { code: 'REAUTHENTICATION_FAILED', reason: 'fatal', oauthError: 'invalid_grant' },
    });
  }
  const { calls, revoked } = await provider.report();
  expect(calls).toHaveLength(2);
  expect(calls[1]?.outcome).toBe('invalid_grant');
  expect(revoked).toBe(1);
  expect(await scene.stored()).toEqual(scene.first);

  const { accessToken } = await scene.logIn();
  await scene.agree(accessToken, instances);
  await Promise.all(instances.map((instance) => instance.isIn('idle')));
  expect((await provider.report()).calls).toHaveLength(2);
}

describe('a holder that is killed', () => {
  it('before it calls the provider is replaced by another one, which refreshes once', async () => {
    const { provider } = cluster;
    const scene = await cluster.play(0, { gates: ['before'] });
    const holder = await whoIsAt('before', scene.instances);
    const rest = scene.instances.filter((instance) => instance !== holder);
    await Promise.all(rest.map((instance) => instance.isIn('waiting')));
    await holder.kill();

    const successor = await whoIsAt('before', rest);
    expect(successor.said('gate')[0]).toMatchObject({
      attempt: 2,
      cause: 'expired',
      inDoubt: true,
    });
    await successor.call({ does: 'pass' });
    await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
    await scene.agree((await scene.stored())!.accessToken, rest);
    const { calls, revoked } = await provider.report();
    expect(calls.map(({ outcome }) => outcome)).toEqual(['granted']);
    expect(revoked).toBe(0);
  });

  it('during the call leaves a spent refresh token: one more call, and then no instance clears anything or tries again', async () => {
    const { provider } = cluster;
    await provider.behave('lost');
    const scene = await cluster.play(0, { gates: ['before'] });
    const holder = await whoIsAt('before', scene.instances);
    const rest = scene.instances.filter((instance) => instance !== holder);
    await holder.call({ does: 'pass' });
    await eventually(async () => expect((await provider.report()).calls[0]?.outcome).toBe('spent'));
    await holder.kill();
    const successor = await whoIsAt('before', rest);
    expect(successor.said('gate')[0]).toMatchObject({ inDoubt: true });
    await successor.call({ does: 'pass' });
    await expectFailedForAll(scene, rest);
  });

  it('after the call, with the result in memory, leaves the same', async () => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    const rest = scene.instances.filter((instance) => instance !== holder);
    await holder.kill();
    await expectFailedForAll(scene, rest);
    const said = rest.flatMap((instance) => instance.said('failure'));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatchObject({ fatal: true });
  });
});

it('the provider of these tests revokes the whole grant when a refresh token is used twice', async () => {
  const { provider } = cluster;
  const scene = await cluster.play(0);
  await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
  const second = (await scene.stored())!;
  await scene.agree(second.accessToken);
  expect(await scene.instances[0]!.call({ does: 'use', times: 1 })).toEqual([200]);
  // What somebody does who restores a backup.
  await scene.store.save(scene.first);
  await Promise.all(scene.instances.map((instance) => instance.isIn('failed')));
  expect((await provider.report()).revoked).toBe(1);
  await scene.store.save(second);
  await scene.agree(second.accessToken);
  // Its access token is as dead as its refresh token.
  expect(await scene.instances[0]!.call({ does: 'use', times: 1 })).toEqual([
    'REAUTHENTICATION_FAILED',
  ]);
});
