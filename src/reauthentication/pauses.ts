import type { Clock } from '../time/clock.js';
import { setLongTimeout } from '../time/timers.js';

/** Waits that can all be ended at once, for good. */
export class Pauses {
  readonly #clock: Clock;
  readonly #under = new Set<() => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves after `ms`, or at once when all have ended. */
  pause(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#under.delete(end);
        resolve();
      };
      const cancel = setLongTimeout(this.#clock, ms, end);
      this.#under.add(end);
    });
  }

  end(): void {
    this.#ended = true;
    for (const end of [...this.#under]) end();
  }
}
