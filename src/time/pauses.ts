import type { Clock } from './clock.js';
import { setLongTimeout } from './timers.js';

/** Pauses that can all be ended at once, for good. */
export class Pauses {
  readonly #clock: Clock;
  readonly #ends = new Set<() => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves after `ms`, or at once when all pauses have ended. */
  pause(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#ends.delete(end);
        resolve();
      };
      const cancel = setLongTimeout(this.#clock, ms, end);
      this.#ends.add(end);
    });
  }

  end(): void {
    this.#ended = true;
    for (const end of [...this.#ends]) end();
  }
}
