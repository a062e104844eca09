import type { Clock } from '../../time/clock.js';

/** The gaps that a session notices although its link lives. */
type SessionGap = 'data' | 'clock';

/** Reports the gaps of one session, each in a later turn: several readings that notice the same gap report one. */
export class GapReporter {
  readonly #clock: Clock;
  readonly #begin: (gap: SessionGap) => void;
  #reporting = false;
  #stopped = false;

  /** @param begin - called when hints may have been missed */
  constructor(clock: Clock, begin: (gap: SessionGap) => void) {
    this.#clock = clock;
    this.#begin = begin;
  }

  report(gap: SessionGap): void {
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
