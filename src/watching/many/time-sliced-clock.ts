import type { Clock } from '../../time/clock.js';
import { Deadlines } from '../../time/deadlines.js';

/** How long one turn may work before others get theirs. */
export const SLICE_MS = 3;

/** How many steps pass between two looks at the clock. */
const STRIDE = 16;

/**
 * The clock of very many credentials: one timer for all that they wait for, and turns in which only so much is done that nobody else in
 * the process has to wait.
 */
export class TimeSlicedClock implements Clock {
  readonly #base: Clock;
  readonly #timers: Deadlines;
  /** What this round of turns has left to do; what is asked for meanwhile is for the next round. */
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
      // Whatever one of them throws, the others go on.
      if (this.#done === this.#round.length) {
        this.#round = [];
        this.#done = 0;
      }
      if (this.#round.length > 0 || this.#next.length > 0) this.#schedule();
    }
  }
}
