import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LEASE_MS, type Outcome, ShuffledWorld } from './shuffled-world.js';

type Step = readonly [what: string, act: (world: ShuffledWorld) => void];

const instance = fc.nat({ max: 3 });
const step = (what: string, act: (world: ShuffledWorld) => void): fc.Arbitrary<Step> =>
  fc.constant([what, act] as const);

const steps = fc.array(
  fc.record({
    /** How many messages arrive before it. */
    pause: fc.nat({ max: 8 }),
    what: fc.oneof(
      { weight: 2, arbitrary: step('save', (world) => world.save()) },
      { weight: 1, arbitrary: step('clear', (world) => world.clear()) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom('delete' as const, 'evict' as const, 'flush' as const)
          .map((how): Step => [how, (world) => world.remove(how)]),
      },
      {
        weight: 5,
        arbitrary: instance.map((which): Step => [
          `reject(${which})`,
          (world) => world.reject(which),
        ]),
      },
      {
        weight: 4,
        arbitrary: fc
          .tuple(instance, fc.constantFrom(0, 0, 10_000, 60_000))
          .map(([which, ms]): Step => [
            `demand(${which}, ${ms})`,
            (world) => world.demand(which, ms),
          ]),
      },
      {
        weight: 1,
        arbitrary: instance.map((which): Step => [
          `crash(${which})`,
          (world) => world.crash(which),
        ]),
      },
      { weight: 1, arbitrary: step('cut', (world) => world.memory.disconnect()) },
      { weight: 2, arbitrary: step('restore', (world) => world.memory.reconnect()) },
      {
        weight: 6,
        arbitrary: fc
          .constantFrom(50, 200, 1_000, LEASE_MS + 500, 9_000, 16_000, 40_000)
          .map((ms): Step => [`advance(${ms})`, (world) => world.clock.advance(ms)]),
      },
    ),
  }),
  { maxLength: 25 },
);
const outcomes = fc.array(
  fc.constantFrom<Outcome[]>('new', 'new', 'new', 'unchanged', 'fails', 'fails', 'fatal', 'hangs'),
  { maxLength: 12 },
);

describe('with instances, messages and the provider in any order', () => {
  it('each credential has one commit, no other write is overwritten, and in the end all agree', async () => {
    const seen = { calls: 0, committed: 0, discarded: 0, takeovers: 0, fatal: 0, needless: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 4 }),
        outcomes,
        steps,
        async (scheduler, count, provider, script) => {
          const world = new ShuffledWorld(scheduler, count, provider);
          scheduler.scheduleSequence(
            script.flatMap(({ pause, what: [label, act] }) => [
              ...Array.from({ length: pause }, () => () => Promise.resolve()),
              {
                label,
                builder: () => {
                  act(world);
                  return Promise.resolve();
                },
              },
            ]),
          );
          await scheduler.waitIdle();
          await world.heal();

          expect(world.violations).toEqual([]);
          const { stored } = world;
          for (const { store, auth, crashed } of world.instances) {
            if (crashed) continue;
            const { state } = store;
            if (stored === undefined) expect(['absent', 'expired']).toContain(state.type);
            else if (state.type === 'expired')
              expect(state.previous.credentials.token).toBe(stored);
            else expect(state).toMatchObject({ snapshot: { credentials: { token: stored } } });
            expect(['idle', 'failed']).toContain(auth.state.type);
            if (state.type === 'present' && auth.state.type === 'idle')
              expect(await auth.credentials()).toBe(state.snapshot.credentials);
            for (const name of Object.keys(seen) as (keyof typeof seen)[])
              seen[name] += auth.counts[name];
          }
          // Whoever still lives got an answer.
          expect(world.demands.filter((one) => !one.settled && !one.instance.crashed)).toEqual([]);
          expect(world.calls.length).toBeLessThanOrEqual(world.started.size);
          await world.close();
        },
      ),
      { numRuns: 1_000 },
    );
    // Proves nothing about what never happened.
    expect(Object.values(seen).every((times) => times > 0)).toBe(true);
    // A busy machine takes minutes for so many runs; the limit is for a run without end.
  }, 300_000);
});
