import type { Clock } from '../time/clock.js';
import { setLongTimeout } from '../time/timers.js';

/** The jitter spreads instances that wait for the same instant by a share of the wait, up to a maximum. */
const JITTER = 0.1;
const MAX_JITTER_MS = 500;

/** The time in which this instance does not request the lease, because the last answer gave the instant of the next try. */
export class Cooldown {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #over: () => void;
  #cancel: (() => void) | undefined;

  /** @param over - called when a cooldown ends by itself */
  constructor(clock: Clock, random: () => number, over: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#over = over;
  }

  get lasts(): boolean {
    return this.#cancel !== undefined;
  }

  begin(ms: number): void {
    this.end();
    const spread = Math.min(ms * JITTER, MAX_JITTER_MS) * this.#random();
    this.#cancel = setLongTimeout(this.#clock, ms + spread, () => {
      this.#cancel = undefined;
      this.#over();
    });
  }

  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
