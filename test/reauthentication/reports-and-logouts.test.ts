import { describe, expect, it } from 'vitest';

import { eventually } from '../support/wait.js';
import { useCluster } from './support/cluster.js';
import { type RemoteInstance, whoIsAt } from './support/remote-instance.js';

const cluster = useCluster();
const LONG_MS = 3_600_000;

describe('a hundred reports that one token was refused', () => {
  it('by use() and the answers of the provider cause one refresh, and all go on with the new token', async () => {
    const { provider } = cluster;
    const scene = await cluster.play(LONG_MS);
    await provider.tell('revoke-access');
    const uses = scene.instances.map((instance) => instance.call({ does: 'use', times: 25 }));
    const statuses = (await Promise.all(uses)).flat();
    expect(statuses).toEqual(Array(100).fill(200));
    const { calls, revoked } = await provider.report();
    expect(calls.map(({ outcome }) => outcome)).toEqual(['granted']);
    expect(revoked).toBe(0);
    await scene.agree((await scene.stored())!.accessToken);
  });

  it('by reject() cause one refresh, also when some come late', async () => {
    const { provider } = cluster;
    // Or a slow process might be handed the new token already, and reject that.
    const scene = await cluster.play(LONG_MS, { gates: ['before'] });
    const [first, ...rest] = scene.instances;
    expect(await first!.call({ does: 'reject', times: 25 })).toEqual({ current: 25 });
    const holder = await whoIsAt('before', scene.instances);
    const late = rest.map((instance) => instance.call({ does: 'reject', times: 25 }));
    for (const { current } of await Promise.all(late)) expect(current).toBe(25);
    await holder.call({ does: 'pass' });
    await eventually(async () => expect(await scene.stored()).not.toEqual(scene.first));
    await scene.agree((await scene.stored())!.accessToken);
    await Promise.all(scene.instances.map((instance) => instance.isIn('idle')));
    expect((await provider.report()).calls).toHaveLength(1);
  });
});

describe('a logout is not undone', () => {
  /** Everybody asks, and nobody gets anything or calls the provider. */
  async function expectLoggedOut(
    instances: readonly RemoteInstance[],
    calls: number,
  ): Promise<void> {
    const answers = await Promise.all(
      instances.map((instance) => instance.call({ does: 'get', timeoutMs: 5_000 })),
    );
    for (const answer of answers)
      expect(answer).toMatchObject({
        error: { code: 'REAUTHENTICATION_FAILED', reason: 'cleared' },
      });
    expect((await cluster.provider.report()).calls).toHaveLength(calls);
  }

  async function startLate(key: string): Promise<RemoteInstance> {
    const late = await cluster.start();
    cluster.track(late, (instance) => instance.stop());
    await late.call({ does: 'open', settings: cluster.settings(key) });
    return late;
  }

  it('by the running instances, nor by a process that starts afterwards and asks', async () => {
    const scene = await cluster.play(LONG_MS);
    expect(await scene.store.clear({ reason: 'logout' })).toBe(true);
    await eventually(async () => {
      for (const instance of scene.instances) expect((await instance.view()).stored).toBe('absent');
    });
    await expectLoggedOut([...scene.instances, await startLate(scene.key)], 0);
    expect(await scene.stored()).toBeUndefined();
  });

  it('by an instance that is calling the provider: its result is refused and handed over', async () => {
    const scene = await cluster.play(0, { gates: ['after'] });
    const holder = await whoIsAt('after', scene.instances);
    await scene.store.clear({ reason: 'logout' });
    // Everybody wants credentials and waits.
    const asking = scene.instances.map((instance) =>
      instance.call({ does: 'get', timeoutMs: 5_000 }),
    );
    await holder.call({ does: 'pass' });
    const discarded = await holder.says('discarded');
    expect(discarded.reason).toBe('cleared');
    for (const answer of await Promise.all(asking))
      expect(answer).toMatchObject({ error: { reason: 'cleared' } });
    await expectLoggedOut([...scene.instances, await startLate(scene.key)], 1);
    expect(await scene.stored()).toBeUndefined();
    // And after it somebody may log in again.
    const { accessToken } = await scene.logIn();
    await scene.agree(accessToken);
  });

  it('when only an expired credential was due', async () => {
    const { provider } = cluster;
    await provider.behave('down');
    const scene = await cluster.play(0);
    await eventually(async () => expect((await provider.report()).calls.length).toBeGreaterThan(0));
    await scene.store.clear();
    await provider.behave('normal');
    await Promise.all(
      scene.instances.map((instance) =>
        eventually(async () => expect((await instance.view()).stored).toBe('absent')),
      ),
    );
    const { length } = (await provider.report()).calls;
    await expectLoggedOut(scene.instances, length);
    expect(await scene.stored()).toBeUndefined();
  });
});
