import { VirtualClock } from 'credstream/testing';
import { describe, expect, it } from 'vitest';

import { ReplyDeadline } from '../../../src/redis/connection/reply-deadline.js';

const LOST = new Error('lost');

/** A deadline of 100 ms that stops when somebody is late, as a link does. */
function world() {
  const clock = new VirtualClock();
  const times = { timeoutMs: 100, late: 0 };
  const rejected: unknown[] = [];
  const deadline: ReplyDeadline = new ReplyDeadline(
    clock,
    () => times.timeoutMs,
    () => {
      times.late += 1;
      deadline.stop(LOST);
    },
  );
  const start = () =>
    deadline.start((error) => {
      rejected.push(error);
    });
  return { clock, times, rejected, deadline, start };
}

describe('the reply deadline of a connection', () => {
  it('uses one timer, however many calls there are', async () => {
    const { clock, times, deadline, start } = world();
    for (let n = 0; n < 50; n += 1) {
      const call = start();
      expect(clock.pendingTimers).toBe(1);
      await clock.advance(10);
      deadline.end(call);
    }
    await clock.advance(200);
    expect([times.late, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('is that of each call, not of the first one', async () => {
    const { clock, times, rejected, deadline, start } = world();
    const first = start();
    await clock.advance(60);
    start();
    deadline.end(first);
    await clock.advance(99);
    expect(times.late).toBe(0);
    await clock.advance(2);
    expect(times.late).toBe(1);
    expect(rejected).toEqual([LOST]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('rejects all pending calls when one of them is late', async () => {
    const { clock, times, rejected, start } = world();
    start();
    await clock.advance(60);
    start();
    await clock.advance(50);
    expect(times.late).toBe(1);
    expect(rejected).toEqual([LOST, LOST]);
  });

  it('is met by a reply that is read in the turn after it: timers run before input', async () => {
    const { clock, times, deadline, start } = world();
    const call = start();
    const turns: (() => void)[] = [];
    clock.nextTurn = (run) => turns.push(run);
    await clock.advance(101);
    expect(turns).toHaveLength(1);
    deadline.end(call);
    turns[0]?.();
    expect(times.late).toBe(0);
  });

  it('comes earlier when it is made shorter', async () => {
    const { clock, times, start } = world();
    start();
    times.timeoutMs = 20;
    start();
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(22);
    expect(times.late).toBe(1);
  });

  it('rejects pending calls once it is stopped, and leaves the answered ones', async () => {
    const { clock, times, rejected, deadline, start } = world();
    const answered = start();
    start();
    deadline.stop(LOST);
    expect(clock.pendingTimers).toBe(0);
    deadline.end(answered);
    await clock.settle();
    expect(rejected).toEqual([LOST]);
    await clock.advance(200);
    expect(times.late).toBe(0);
  });
});
