import type { Clock } from './clock.js';
import { Deadlines } from './deadlines.js';

/** How long one turn may work before others get theirs. */
const SLICE_MS = 3;

/** How many steps pass between two readings of the clock. */
const STRIDE = 16;

/**
 * The clock of very many credentials: one timer for all that they wait for, and turns in which only so much is done that nobody else in
 * the process has to wait.
 */
export class TimeSlicedClock implements Clock {
  readonly #base: Clock;
  readonly #timers: Deadlines;
  /** The calls of this round of turns; calls that are added meanwhile belong to the next round. */
  #round: readonly (() => void)[] = [];
  #done = 0;
  #next: (() => void)[] = [];
  #scheduled = false;

  constructor(base: Clock) {
    this.#base = base;
    this.#timers = new Deadlines(base, () => base.monotonic());
  }

  now(): number {
    return this.#base.now();
  }

  monotonic(): number {
    return this.#base.monotonic();
  }

  setTimer(run: () => void, delayMs: number): () => void {
    let cancelled = false;
    const deadline = this.#timers.add(this.#base.monotonic() + delayMs, {
      // Thousands may be due at one instant.
      due: () => {
        this.nextTurn(() => {
          if (!cancelled) run();
        });
      },
    });
    return () => {
      cancelled = true;
      deadline.cancel();
    };
  }

  nextTurn(run: () => void): void {
    this.#next.push(run);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#base.nextTurn(() => {
      this.#work();
    });
  }

  #work(): void {
    this.#scheduled = false;
    if (this.#done === this.#round.length) {
      this.#round = this.#next;
      this.#next = [];
      this.#done = 0;
    }
    const until = this.#base.monotonic() + SLICE_MS;
    try {
      for (let step = 1; this.#done < this.#round.length; step += 1) {
        const run = this.#round[this.#done];
        this.#done += 1;
        run?.();
        if (step % STRIDE === 0 && this.#base.monotonic() >= until) break;
      }
    } finally {
      // The other calls go on after one that throws.
      if (this.#done === this.#round.length) {
        this.#round = [];
        this.#done = 0;
      }
      if (this.#round.length > 0 || this.#next.length > 0) this.#schedule();
    }
  }
}

/** Something of which there is only so much room at a time. */
export interface Bounded {
  /** Resolves when there is room for more; `undefined` when there is now. */
  capacity(): Promise<void> | undefined;
}

/** Makes a loop over very many credentials leave room for other work: of the process, and of the reads under way. */
export class TimeSlicer {
  readonly #clock: Clock;
  readonly #reads: Bounded;
  #steps = 0;
  #until = -Infinity;

  /** @param clock - the clock of the machine */
  constructor(clock: Clock, reads: Bounded) {
    this.#clock = clock;
    this.#reads = reads;
  }

  /** To be waited for after each step, if there is anything to wait for. */
  yield(): Promise<void> | undefined {
    const room = this.#reads.capacity();
    if (room !== undefined) return room;
    this.#steps += 1;
    if (this.#steps % STRIDE !== 0 || this.#clock.monotonic() < this.#until) return undefined;
    return new Promise((resolve) => {
      this.#clock.nextTurn(() => {
        this.#until = this.#clock.monotonic() + SLICE_MS;
        resolve();
      });
    });
  }
}
