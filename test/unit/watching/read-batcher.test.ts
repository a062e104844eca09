import { describe, expect, it } from 'vitest';

import { VirtualClock } from 'credstream/testing';

import type { Clock } from '../../../src/time/clock.js';
import type { Observation, Subscription } from '../../../src/backend/backend.js';
import { ReadBatcher } from '../../../src/watching/read-batcher.js';
import { TimeSlicedClock } from '../../../src/time/slicing.js';
import { KeyedPool } from '../../../src/util/keyed-pool.js';
import { UnavailableError } from '../../../src/errors.js';
import { deferred, type Deferred } from '../../support/wait.js';

/** A machine on which every reading of the clock takes a millisecond. */
class SlowClock implements Clock {
  readonly turns: (() => void)[] = [];
  #at = 0;
  now(): number {
    return this.#at;
  }
  monotonic(): number {
    this.#at += 1;
    return this.#at;
  }
  setTimer(): () => void {
    throw new Error('not part of this');
  }
  nextTurn(run: () => void): void {
    this.turns.push(run);
  }
  turn(): void {
    for (const run of this.turns.splice(0)) run();
  }
}

describe('a TimeSlicedClock', () => {
  it('does a bounded part in one turn, and all of it in order', () => {
    const machine = new SlowClock();
    const clock = new TimeSlicedClock(machine);
    const done: number[] = [];
    for (let nth = 0; nth < 1_000; nth += 1) clock.nextTurn(() => done.push(nth));
    expect(machine.turns).toHaveLength(1);
    machine.turn();
    expect(done.length).toBeGreaterThan(0);
    expect(done.length).toBeLessThan(100);
    while (machine.turns.length > 0) machine.turn();
    expect(done).toEqual(Array.from({ length: 1_000 }, (_, nth) => nth));
  });

  it('leaves calls that are added meanwhile to a later turn', () => {
    const machine = new SlowClock();
    const clock = new TimeSlicedClock(machine);
    let turns = 0;
    const again = (): void => {
      turns += 1;
      clock.nextTurn(again);
    };
    clock.nextTurn(again);
    machine.turn();
    expect(turns).toBe(1);
    machine.turn();
    expect(turns).toBe(2);
  });

  it('goes on with the other calls when one throws', () => {
    const machine = new SlowClock();
    const clock = new TimeSlicedClock(machine);
    const done: string[] = [];
    clock.nextTurn(() => {
      throw new Error('mine');
    });
    clock.nextTurn(() => done.push('other'));
    expect(() => machine.turn()).toThrow('mine');
    machine.turn();
    expect(done).toEqual(['other']);
  });

  it('sets one timer for all calls that wait, and none for canceled ones', async () => {
    const machine = new VirtualClock();
    const clock = new TimeSlicedClock(machine);
    const done: number[] = [];
    const cancels = Array.from({ length: 100 }, (_, nth) =>
      clock.setTimer(() => done.push(nth), 1_000 - nth),
    );
    expect(machine.pendingTimers).toBe(1);
    for (const cancel of cancels.slice(0, 98)) cancel();
    await machine.advance(902);
    expect(done).toEqual([99, 98]);
    expect(machine.pendingTimers).toBe(0);
  });

  it('does not run a call that is canceled in the turn in which it is due', async () => {
    const machine = new VirtualClock();
    const clock = new TimeSlicedClock(machine);
    const done: string[] = [];
    let cancelSecond: () => void = () => undefined;
    clock.setTimer(() => {
      done.push('first');
      cancelSecond();
    }, 10);
    cancelSecond = clock.setTimer(() => done.push('second'), 10);
    await machine.advance(20);
    expect(done).toEqual(['first']);
  });
});

interface Call {
  readonly keys: readonly string[];
  readonly answer: Deferred<readonly (Observation | undefined)[]>;
}

/** What is seen at a key, recognized by its server time. */
const seenAt = (key: string): Observation =>
  ({ content: { type: 'absent' }, serverNow: Number(key) }) as Observation;

function world({ together = true } = {}) {
  const clock = new VirtualClock();
  const alone: { key: string; answer: Deferred<Observation> }[] = [];
  const calls: Call[] = [];
  const feed: Partial<Subscription> = {
    read: (key) => {
      const answer = deferred<Observation>();
      alone.push({ key, answer });
      return answer.promise;
    },
    ...(together && {
      readMany: (keys) => {
        const answer = deferred<readonly (Observation | undefined)[]>();
        calls.push({ keys, answer });
        return answer.promise;
      },
    }),
  };
  return { clock, alone, calls, reads: new ReadBatcher(() => feed as Subscription, clock, 1_000) };
}

describe('a ReadBatcher', () => {
  it('sends one read at once, and the later ones together', async () => {
    const { clock, alone, calls, reads } = world();
    const seen = Array.from({ length: 251 }, (_, nth) => reads.read(String(nth)));
    expect(alone.map(({ key }) => key)).toEqual(['0']);
    expect(calls).toHaveLength(0);
    await clock.settle();
    expect(calls.map(({ keys }) => keys.length)).toEqual([100, 100, 50]);
    alone[0]!.answer.resolve(seenAt('0'));
    for (const { keys, answer } of calls) answer.resolve(keys.map(seenAt));
    const all = await Promise.all(seen);
    expect(all.map(({ serverNow }) => serverNow)).toEqual(seen.map((_, nth) => nth));
  });

  it('has a bounded number of calls under way, and reports its capacity', async () => {
    const { clock, calls, alone, reads } = world();
    expect(reads.capacity()).toBeUndefined();
    for (let nth = 0; nth < 2_000; nth += 1) void reads.read(String(nth));
    let roomy = false;
    void reads.capacity()?.then(() => (roomy = true));
    await clock.settle();
    expect(calls).toHaveLength(4);
    alone[0]!.answer.resolve(seenAt('0'));
    for (let nth = 0; nth < calls.length; nth += 1) {
      calls[nth]!.answer.resolve(calls[nth]!.keys.map(seenAt));
      await clock.settle();
      if (nth === 3) expect(roomy).toBe(false);
    }
    expect(roomy).toBe(true);
    expect(calls.flatMap(({ keys }) => keys)).toHaveLength(1_999);
  });

  it('reads alone a key that a common reply left out', async () => {
    const { clock, alone, calls, reads } = world();
    const seen = ['0', '1', '2'].map((key) => reads.read(key));
    await clock.settle();
    calls[0]!.answer.resolve([undefined, seenAt('2')]);
    await clock.settle();
    expect(alone.map(({ key }) => key)).toEqual(['0', '1']);
    for (const { key, answer } of alone) answer.resolve(seenAt(key));
    expect((await Promise.all(seen)).map(({ serverNow }) => serverNow)).toEqual([0, 1, 2]);
  });

  it('rejects every read of a failed call, and serves the later ones', async () => {
    const { clock, alone, calls, reads } = world();
    const seen = ['0', '1', '2'].map((key) => reads.read(key).catch((error: unknown) => error));
    await clock.settle();
    const error = new UnavailableError('gone');
    calls[0]!.answer.reject(error);
    alone[0]!.answer.reject(error);
    expect(await Promise.all(seen)).toEqual([error, error, error]);
    void reads.read('3');
    expect(alone.map(({ key }) => key)).toEqual(['0', '3']);
  });

  it('reads each key alone where the backend has no batches', async () => {
    const { alone, reads } = world({ together: false });
    for (let nth = 0; nth < 5; nth += 1) void reads.read(String(nth));
    expect(alone).toHaveLength(5);
  });
});

describe('a KeyedPool', () => {
  it('waits for every ending value when it closes, and sets one timer', async () => {
    const clock = new VirtualClock();
    const ended: string[] = [];
    const ending = deferred();
    const pool = new KeyedPool<string>(
      clock,
      1_000,
      (id) => `value of ${id}`,
      async (value) => {
        await ending.promise;
        ended.push(value);
      },
    );
    for (let nth = 0; nth < 50; nth += 1) pool.get(String(nth));
    expect(clock.pendingTimers).toBe(1);
    void pool.release('7');
    expect(pool.peek('7')).toBeUndefined();
    let closed = false;
    const closing = pool.close().then(() => (closed = true));
    await clock.settle();
    expect(closed).toBe(false);
    ending.resolve();
    await closing;
    expect(ended).toHaveLength(50);
    expect(clock.pendingTimers).toBe(0);
    expect(() => pool.get('1')).toThrow(/closed/);
  });

  it('keeps a value whose idle time is longer than any timer, and an endless one', async () => {
    for (const idleMs of [2 ** 31, Infinity]) {
      const clock = new VirtualClock();
      const pool = new KeyedPool<string>(clock, idleMs, String, () => Promise.resolve());
      pool.get('a');
      await clock.advance(2 ** 31 - 1);
      expect(pool.size).toBe(1);
      await clock.advance(1);
      expect(pool.size).toBe(idleMs === Infinity ? 1 : 0);
      expect(clock.pendingTimers).toBe(0);
    }
  });
});
