import { beforeAll, describe, expect, it } from 'vitest';

import { useCleanup } from '../support/cleanup.js';
import { type NodeProcess, startNodeProcess } from '../support/node-process.js';
import { uniqueKey } from '../support/redis.js';
import type { Answer, Order } from './fixtures/updater.js';
import { HINTS_ONLY, ofType, useWorld } from './world.js';

const world = useWorld();
const { track } = useCleanup('suite');

const PROCESSES = 3;
const key = uniqueKey('shared');
const children: NodeProcess<Answer, Order>[] = [];

beforeAll(async () => {
  const file = new URL('./fixtures/updater.ts', import.meta.url);
  const started = Array.from({ length: PROCESSES }, () =>
    startNodeProcess<Answer, Order>(file, { args: [world.server.url, key] }),
  );
  for (const child of await Promise.all(started)) {
    children.push(track(child, (one) => one.stop()));
    await child.next(({ type }) => type === 'ready', 20_000);
  }
});

const counted = (answer: Answer): answer is Extract<Answer, { type: 'counted' }> =>
  answer.type === 'counted';
const claimed = (answer: Answer): answer is Extract<Answer, { type: 'claimed' }> =>
  answer.type === 'claimed';

describe('several processes', () => {
  it('update one credential without losing any change, and report the writers', async () => {
    const redis = world.connect();
    const { store, changes } = await world.watch<{ count: number }>(world.connect(), {
      ...HINTS_ONLY,
      key,
    });
    const times = 40;
    await Promise.all(children.map((child) => child.send({ does: 'count', times })));
    const answers = await Promise.all(children.map((child) => child.next(counted, 20_000)));

    const total = PROCESSES * times;
    expect(await redis.get(key)).toBe(JSON.stringify({ count: total }));
    const attempts = answers.reduce((sum, answer) => sum + answer.attempts, 0);
    // Without conflicts this would have shown nothing.
    expect(attempts).toBeGreaterThan(total);

    await changes.next(
      (change) => 'snapshot' in change && change.snapshot.credentials.count === total,
    );
    const seen = changes.values.map((change) =>
      'snapshot' in change ? change.snapshot.credentials.count : undefined,
    );
    expect(seen).toEqual([...seen].sort((one, other) => one! - other!));
    expect(new Set(seen).size).toBe(seen.length);
    expect(store.current?.credentials).toEqual({ count: total });

    const written = changes.values.flatMap((change) => (change.type === 'saved' ? [change] : []));
    const instances = new Set<unknown>();
    for (const { origin, reason } of written) {
      if (typeof origin === 'object') instances.add(origin.instance);
      expect(reason).toMatch(/^by \d+$/);
    }
    expect(instances.size).toBe(PROCESSES);
    const pids = new Set(written.map(({ reason }) => Number(reason?.slice(3))));
    expect([...pids].sort()).toEqual(children.map(({ pid }) => pid).sort());
  });

  it('save an absent credential at once, and one of them succeeds', async () => {
    const redis = world.connect();
    const { changes } = await world.watch<{ owner: string }>(world.connect(), { key });
    for (let round = 1; round <= 10; round += 1) {
      await redis.del(key);
      await Promise.all(
        children.map((child, index) => child.send({ does: 'claim', as: `${round}-${index}` })),
      );
      const answers = await Promise.all(children.map((child) => child.next(claimed)));
      expect(answers.filter(({ won }) => won)).toHaveLength(1);
      const owner = `${round}-${answers.findIndex(({ won }) => won)}`;
      expect(await redis.get(key)).toBe(JSON.stringify({ owner }));
      const saved = await changes.next(ofType('saved'));
      expect(saved.credentials).toEqual({ owner });
      // Losers have announced too: who it was is only a label.
      expect(saved.reason).toMatch(new RegExp(`^${round}-\\d$`));
    }
  });
});
