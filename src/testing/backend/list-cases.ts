import { strict as assert } from 'node:assert';
import { scene, type BackendScene, type BackendStage } from './stage.js';

/** More than fit into one page of any backend. */
const MANY = 2_500;

/** The list of the keys under a prefix. */
export const listCases: readonly BackendScene[] = [
  scene('the list has every key under the prefix, and no other one', async (stage) => {
    const keys = [stage.key, `${stage.prefix}a`, `${stage.prefix}a:b`, `${stage.prefix}é`];
    for (const key of keys) await stage.outside.set(key, 'one');
    await stage.outside.set(stage.prefix.slice(0, -1), 'shorter');
    await stage.outside.set(`x${stage.prefix}a`, 'elsewhere');
    assert.deepEqual(await listed(stage), keys.toSorted());
    assert.deepEqual(await listed(stage, `${stage.prefix}nothing`), []);
  }),

  scene('every character of the prefix of a list stands for itself', async (stage) => {
    const prefix = `${stage.prefix}[ab]?*\\`;
    for (const decoy of ['a', 'axx', 'b?*\\', 'a1anything\\', '[ab]?*'])
      await stage.outside.set(stage.prefix + decoy, 'one');
    assert.deepEqual(await listed(stage, prefix), []);
    await stage.outside.set(`${prefix}id`, 'one');
    assert.deepEqual(await listed(stage, prefix), [`${prefix}id`]);
  }),

  scene('keys that come and go during a list hide none that stays', async (stage) => {
    const nameOf = (kind: string, n: number): string => `${stage.prefix}${kind}:${String(n)}`;
    const numbers = Array.from({ length: MANY }, (_, n) => n);
    const stays = numbers.map((n) => nameOf('stays', n));
    await Promise.all(stays.map((key) => stage.outside.set(key, 'one')));
    const seen = new Set<string>();
    let pages = 0;
    for await (const page of stage.first.keys(stage.prefix)) {
      for (const key of page) seen.add(key);
      pages += 1;
      const some = numbers.slice(0, 100);
      await Promise.all(some.map((n) => stage.outside.set(nameOf(`comes${String(pages)}`, n), '')));
      await Promise.all(
        some.map((n) => stage.outside.delete(nameOf(`comes${String(pages - 1)}`, n))),
      );
    }
    assert.ok(pages > 1, 'all keys came in one page');
    assert.deepEqual(
      stays.filter((key) => !seen.has(key)),
      [],
    );
  }),

  scene(
    'the list has neither keys that are gone nor the helper keys beside a credential',
    async (stage) => {
      const gone = `${stage.prefix}gone`;
      await stage.write(stage.first, 'one', { key: gone });
      await stage.outside.delete(gone);
      await stage.outside.set(`${stage.prefix}ended`, 'one', 20);
      await stage.advance(25);
      await stage.write(stage.first, 'one');
      await stage.remove(stage.first);
      await stage.write(stage.first, 'two');
      const { version, now } = await stage.view();
      const record = {
        id: 'attempt',
        instance: stage.first.instance,
        number: 1,
        startedAt: now,
        leaseEndsAt: now,
        outcome: 'running',
        failures: 0,
        notBefore: now,
      } as const;
      const change = { version, record };
      assert.equal(await stage.first.swap({ key: stage.key, change }), 'swapped');
      assert.deepEqual(await listed(stage), [stage.key]);
    },
  ),
];

async function listed(stage: BackendStage, prefix: string = stage.prefix): Promise<string[]> {
  const keys = new Set<string>();
  for await (const page of stage.first.keys(prefix)) for (const key of page) keys.add(key);
  return [...keys].sort();
}
