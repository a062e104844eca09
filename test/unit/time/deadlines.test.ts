import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import type { Clock } from '../../../src/time/clock.js';
import { type Deadline, Deadlines } from '../../../src/time/deadlines.js';

const DAY_MS = 86_400_000;

function calling(run: () => unknown): (() => void) & { due(): void } {
  const due = (): void => void run();
  return Object.assign(due, { due });
}

/** Deadlines by a clock that shows what the virtual one does, give or take what the test sets. */
function world() {
  const clock = new VirtualClock();
  const timers = { most: 0 };
  const counting: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    nextTurn: (run) => {
      clock.nextTurn(run);
    },
    setTimer(run, delayMs) {
      const cancel = clock.setTimer(run, delayMs);
      timers.most = Math.max(timers.most, clock.pendingTimers);
      return cancel;
    },
  };
  const correction = { ms: 0 };
  const deadlines = new Deadlines(counting, () => clock.monotonic() + correction.ms);
  return { clock, timers, correction, deadlines };
}

describe('deadlines', () => {
  it('are called once, in order, never before their instant', async () => {
    const { clock, deadlines } = world();
    const called: [at: number, now: number][] = [];
    for (const at of [30, 10, 20.5, 10])
      deadlines.add(
        at,
        calling(() => called.push([at, clock.monotonic()])),
      );
    await clock.advance(9.9);
    expect(called).toEqual([]);
    await clock.advance(100);
    expect(called).toEqual([
      [10, 10],
      [10, 10],
      [20.5, expect.closeTo(21, 0)],
      [30, expect.closeTo(30, 0)],
    ]);
    expect(deadlines.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('in the past are called with the next timer', async () => {
    const { clock, deadlines } = world();
    await clock.advance(100);
    let called = 0;
    deadlines.add(
      50,
      calling(() => (called += 1)),
    );
    expect(called).toBe(0);
    await clock.advance(0);
    expect(called).toBe(1);
  });

  it('report whether they are pending', async () => {
    const { clock, deadlines } = world();
    const early = deadlines.add(
      10,
      calling(() => {}),
    );
    const late = deadlines.add(
      20,
      calling(() => {}),
    );
    await clock.advance(10);
    expect([early.pending, late.pending]).toEqual([false, true]);
    late.cancel();
    late.cancel();
    early.cancel();
    expect([late.pending, deadlines.size, clock.pendingTimers]).toEqual([false, 0, 0]);
  });

  it('may be added and canceled from one another', async () => {
    const { clock, deadlines } = world();
    const called: string[] = [];
    const late = deadlines.add(
      10,
      calling(() => called.push('canceled')),
    );
    deadlines.add(
      5,
      calling(() => {
        called.push('first');
        late.cancel();
        deadlines.add(
          4,
          calling(() => called.push('past')),
        );
        deadlines.add(
          7,
          calling(() => called.push('soon')),
        );
      }),
    );
    await clock.advance(20);
    expect(called).toEqual(['first', 'past', 'soon']);
  });

  it.each([2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 3_650 * DAY_MS])(
    'in %d ms are neither early nor late',
    async (ms) => {
      const { clock, deadlines } = world();
      const called: number[] = [];
      deadlines.add(
        ms,
        calling(() => called.push(clock.monotonic())),
      );
      await clock.advance(ms - 1);
      expect(called).toEqual([]);
      await clock.advance(2);
      expect(called).toEqual([ms]);
    },
  );

  it('share one timer, 100,000 of them', async () => {
    const { clock, timers, deadlines } = world();
    const called: number[] = [];
    let added = 0;
    // Spread so that neither ascending nor descending insertion is what is tested.
    for (let n = 0; n < 100_000; n += 1) {
      const at = 1_000 + ((n * 7_919) % 100_003);
      deadlines.add(
        at,
        calling(() => called.push(at)),
      );
      added += 1;
    }
    expect(deadlines.size).toBe(added);
    await clock.advance(200_000);
    expect(called).toHaveLength(added);
    expect(called.every((at, index) => index === 0 || at >= called[index - 1]!)).toBe(true);
    expect(timers.most).toBe(1);
  });

  it('move with a clock that is corrected forward', async () => {
    const { clock, correction, deadlines } = world();
    const called: number[] = [];
    deadlines.add(
      1_000,
      calling(() => called.push(clock.monotonic())),
    );
    await clock.advance(100);
    correction.ms = 500;
    deadlines.rearm();
    await clock.advance(399);
    expect(called).toEqual([]);
    await clock.advance(1);
    expect(called).toEqual([500]);
  });

  it('move with a clock that is corrected back', async () => {
    const { clock, correction, deadlines } = world();
    const called: number[] = [];
    deadlines.add(
      1_000,
      calling(() => called.push(clock.monotonic())),
    );
    correction.ms = -500;
    deadlines.rearm();
    await clock.advance(1_499);
    expect(called).toEqual([]);
    await clock.advance(1);
    expect(called).toEqual([1_500]);
  });

  it('are not early either when the clock went back unnoticed', async () => {
    const { clock, correction, deadlines } = world();
    const called: number[] = [];
    deadlines.add(
      1_000,
      calling(() => called.push(clock.monotonic())),
    );
    correction.ms = -500;
    await clock.advance(1_499);
    expect(called).toEqual([]);
    await clock.advance(1);
    expect(called).toEqual([1_500]);
  });

  it('keep their timer when a correction is smaller than the slack of a timer', () => {
    const { clock, correction, deadlines } = world();
    deadlines.add(
      1_000,
      calling(() => {}),
    );
    const before = clock.pendingTimers;
    correction.ms = 0.4;
    deadlines.rearm();
    expect(clock.pendingTimers).toBe(before);
  });
});

describe('any sequence of adding, canceling and passing time', () => {
  type Step =
    | { readonly type: 'add'; readonly inMs: number }
    | { readonly type: 'cancel'; readonly which: number }
    | { readonly type: 'pass'; readonly ms: number };

  const step = fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ type: fc.constant('add'), inMs: fc.integer({ min: -5, max: 50 }) }),
    fc.record({ type: fc.constant('cancel'), which: fc.nat({ max: 30 }) }),
    fc.record({ type: fc.constant('pass'), ms: fc.integer({ min: 0, max: 20 }) }),
  );

  it('calls the same deadlines as a sorted list would', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { clock, timers, deadlines } = world();
        const all: { readonly at: number; readonly deadline: Deadline }[] = [];
        let model: number[] = [];
        const called: number[] = [];
        const expected: number[] = [];
        for (const one of steps) {
          if (one.type === 'add') {
            const at = clock.monotonic() + one.inMs;
            const index = all.length;
            all.push({
              at,
              deadline: deadlines.add(
                at,
                calling(() => called.push(index)),
              ),
            });
            model.push(index);
          } else if (one.type === 'cancel') {
            all[one.which]?.deadline.cancel();
            model = model.filter((index) => index !== one.which);
          } else {
            await clock.advance(one.ms);
            const due = model.filter((index) => all[index]!.at <= clock.monotonic());
            expected.push(...due);
            model = model.filter((index) => !due.includes(index));
            expect([...called].sort((a, b) => a - b)).toEqual([...expected].sort((a, b) => a - b));
          }
          expect(deadlines.size).toBe(model.length);
          for (const [index, { deadline }] of all.entries())
            expect(deadline.pending).toBe(model.includes(index));
        }
        // Within one advance, too, the earlier ones come first.
        await clock.advance(100);
        expect(called).toHaveLength(new Set(called).size);
        expect(timers.most).toBeLessThanOrEqual(1);
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('calls them in the order of their instants', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 100 })), async (instants) => {
        const { clock, deadlines } = world();
        const called: number[] = [];
        for (const at of instants)
          deadlines.add(
            at,
            calling(() => called.push(at)),
          );
        await clock.advance(200);
        expect(called).toEqual([...instants].sort((a, b) => a - b));
      }),
    );
  });
});
