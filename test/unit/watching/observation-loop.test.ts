import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Clock } from '../../../src/time/clock.js';
import { ObservationLoop, type Observer } from '../../../src/watching/entry/observation-loop.js';
import { deferred, type Deferred } from '../../support/wait.js';

/** A clock whose turns come when the test says so. */
function steppedTurns() {
  const turns: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    setTimer: () => () => {},
    nextTurn: (run) => turns.push(run),
  };
  return { clock, turns, turn: () => turns.shift()?.() };
}

/** A loop whose observations end when the test says so. */
function world() {
  const { clock, turns, turn } = steppedTurns();
  const observations: Deferred<void>[] = [];
  const emitted = { covered: 0 };
  const observer: Observer = {
    observe: () => {
      const one = deferred();
      observations.push(one);
      return one.promise;
    },
    coveredBy: () => {
      emitted.covered += 1;
    },
    idle: () => {},
  };
  const loop = new ObservationLoop(clock, observer, 1);
  return {
    loop,
    turns,
    turn,
    observations,
    emitted,
    end: async (index: number) => {
      observations[index]?.resolve();
      await microtasks();
    },
  };
}

async function microtasks(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await microtasks();
  return settled;
}

describe('an observation loop', () => {
  it('makes one observation a turn after any number of requests', () => {
    const { loop, turn, turns, observations } = world();
    for (let n = 0; n < 5; n += 1) loop.request();
    expect(observations).toHaveLength(0);
    expect(turns).toHaveLength(1);
    turn();
    expect(observations).toHaveLength(1);
    expect(loop.busy).toBe(true);
  });

  it('rests without a request', async () => {
    const { loop, turn, turns, end } = world();
    loop.request();
    turn();
    await end(0);
    expect(turns).toHaveLength(0);
    expect(loop.busy).toBe(false);
  });

  it('makes exactly one more for all requests that came meanwhile', async () => {
    const { loop, turn, turns, observations, end } = world();
    loop.request();
    turn();
    for (let n = 0; n < 5; n += 1) loop.request();
    expect(turns).toHaveLength(0);
    await end(0);
    expect(turns).toHaveLength(1);
    turn();
    await end(1);
    expect(observations).toHaveLength(2);
    expect(turns).toHaveLength(0);
  });

  it('settles a request with an observation that was issued after it', async () => {
    const { loop, turn, end } = world();
    loop.request();
    turn();
    const settled = loop.settled();
    await end(0);
    expect(await isSettled(settled)).toBe(false);
    turn();
    await end(1);
    expect(await isSettled(settled)).toBe(true);
  });

  it('makes an observation for a request while it rests', async () => {
    const { loop, turn, end } = world();
    const [first, second] = [loop.settled(), loop.settled()];
    expect(await isSettled(first)).toBe(false);
    turn();
    await end(0);
    expect(await isSettled(first)).toBe(true);
    expect(await isSettled(second)).toBe(true);
  });

  it.each(['resting', 'scheduled', 'observing'] as const)(
    'settles every caller when it is stopped while %s, and does nothing more',
    async (state) => {
      const { loop, turn, turns, observations, end } = world();
      const settled: Promise<unknown>[] = [];
      if (state !== 'resting') settled.push(loop.settled());
      if (state === 'observing') {
        turn();
        settled.push(loop.settled());
      }
      loop.stop();
      expect(loop.isStopped()).toBe(true);
      for (const one of [...settled, loop.settled()]) expect(await isSettled(one)).toBe(true);
      const made = observations.length;
      loop.request();
      turn();
      await end(0);
      expect(observations).toHaveLength(made);
      expect(turns).toHaveLength(0);
      expect(loop.busy).toBe(false);
    },
  );

  it('observes at once after received input, and covers the rest of that input', async () => {
    const { loop, turns, observations, emitted, end } = world();
    for (let n = 0; n < 3; n += 1) loop.requestNow();
    expect(observations).toHaveLength(1);
    expect(emitted.covered).toBe(0);
    await microtasks();
    expect(emitted.covered).toBe(1);
    await end(0);
    expect(turns).toHaveLength(0);
    expect(loop.busy).toBe(false);
  });

  it('makes one more for later input, a turn after the reply', async () => {
    const { loop, turn, turns, observations, end } = world();
    loop.requestNow();
    await microtasks();
    for (let n = 0; n < 3; n += 1) loop.requestNow();
    await end(0);
    expect(observations).toHaveLength(1);
    turn();
    expect(observations).toHaveLength(2);
    await end(1);
    expect(turns).toHaveLength(0);
  });

  it('waits for the requested turn when more input comes before it', async () => {
    const { loop, turn, observations, end } = world();
    const settled = loop.settled();
    loop.requestNow();
    expect(observations).toHaveLength(0);
    turn();
    await end(0);
    expect(observations).toHaveLength(1);
    expect(await isSettled(settled)).toBe(true);
  });

  it('does not settle a request during the current input with an observation issued before it', async () => {
    const { loop, turn, emitted, end } = world();
    loop.requestNow();
    const settled = loop.settled();
    expect(emitted.covered).toBe(1);
    await end(0);
    expect(await isSettled(settled)).toBe(false);
    turn();
    await end(1);
    expect(await isSettled(settled)).toBe(true);
    expect(emitted.covered).toBe(2);
  });

  it('reports no coverage once it is stopped', async () => {
    const { loop, emitted } = world();
    loop.requestNow();
    loop.stop();
    await microtasks();
    expect(emitted.covered).toBe(0);
  });

  it('does not starve while requests come faster than observations end', async () => {
    const { loop, turn, observations, end } = world();
    loop.request();
    for (let n = 0; n < 50; n += 1) {
      turn();
      for (let mark = 0; mark < 10; mark += 1) loop.request();
      await end(n);
    }
    expect(observations).toHaveLength(50);
  });
});

describe('with turns, replies and requests in any order', () => {
  type Step = 'mark' | 'received' | 'settled' | 'stop';
  const step = fc.constantFrom<Step>(
    ...(['mark', 'mark', 'received', 'received', 'settled', 'settled', 'stop'] as const),
  );

  it('every request is followed by an observation issued after it, one at a time, none after stop', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(step, { minLength: 1, maxLength: 30 }),
        async (scheduler, steps) => {
          const log: string[] = [];
          let marks = 0;
          let underWay = 0;
          let mostUnderWay = 0;
          let tooEarly = 0;
          let afterStop = 0;
          const issuedAt: number[] = [];
          const clock: Clock = {
            ...steppedTurns().clock,
            nextTurn: (run) => void scheduler.schedule(Promise.resolve(), 'turn').then(run),
          };
          const observer: Observer = {
            observe: async () => {
              if (loop.isStopped()) afterStop += 1;
              underWay += 1;
              mostUnderWay = Math.max(mostUnderWay, underWay);
              issuedAt.push(marks);
              await scheduler.schedule(Promise.resolve(), 'answer');
              underWay -= 1;
            },
            coveredBy: () => {},
            idle: () => {},
          };
          const loop = new ObservationLoop(clock, observer, 1);
          const asked = { count: 0, settled: 0 };
          scheduler.scheduleSequence(
            steps.map((one, index) => ({
              label: `${one} ${String(index)}`,
              builder: () => {
                log.push(one);
                if (one === 'stop') loop.stop();
                else {
                  marks += 1;
                  if (one === 'mark') loop.request();
                  else if (one === 'received') loop.requestNow();
                  else {
                    const mark = marks;
                    asked.count += 1;
                    void loop.settled().then(() => {
                      asked.settled += 1;
                      // Either an observation was issued that covers the mark, or there will be none.
                      const covered = issuedAt.some((issued) => issued >= mark);
                      if (!covered && !loop.isStopped()) tooEarly += 1;
                    });
                  }
                }
                return Promise.resolve();
              },
            })),
          );
          await scheduler.waitIdle();
          expect(asked.settled).toBe(asked.count);
          expect([tooEarly, afterStop]).toEqual([0, 0]);
          expect(mostUnderWay).toBeLessThanOrEqual(1);
          if (!log.includes('stop')) expect(issuedAt.at(-1)).toBe(marks);
          expect(issuedAt.length).toBeLessThanOrEqual(marks);
        },
      ),
      { numRuns: 500 },
    );
  });
});
