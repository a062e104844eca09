import { type Clock, systemClock } from '../../../src/index.js';

/** A clock of this machine that can be set wrong. */
export interface WrongClock extends Clock {
  /** Sets the wall clock forward, or back. */
  stepWall(ms: number): void;
  /** The machine sleeps: real time passes, also at the server, and this process and its monotonic clock stand still. */
  sleep(ms: number): void;
}

export function createWrongClock(): WrongClock {
  let wallOffset = 0;
  let slept = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + wallOffset,
    monotonic: () => systemClock.monotonic() - slept,
    stepWall: (ms) => {
      wallOffset += ms;
    },
    sleep: (ms) => {
      const before = systemClock.monotonic();
      block(ms);
      slept += systemClock.monotonic() - before;
    },
  };
}

/** Nothing else runs in this process meanwhile. */
export function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
