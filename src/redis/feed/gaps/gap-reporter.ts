import type { FeedCondition } from '../../../backend/backend.js';
import type { Clock } from '../../../time/clock.js';

/** Reports the gaps of one session, each in a later turn: several readings that notice the same gap report one. */
export class GapReporter {
  readonly #clock: Clock;
  readonly #begin: (gap: FeedCondition['gap']) => void;
  #reporting = false;
  #stopped = false;

  /** @param begin - called when hints may have been missed */
  constructor(clock: Clock, begin: (gap: FeedCondition['gap']) => void) {
    this.#clock = clock;
    this.#begin = begin;
  }

  report(gap: FeedCondition['gap']): void {
    if (this.#reporting) return;
    this.#reporting = true;
    this.#clock.nextTurn(() => {
      this.#reporting = false;
      if (!this.#stopped) this.#begin(gap);
    });
  }

  stop(): void {
    this.#stopped = true;
  }
}
