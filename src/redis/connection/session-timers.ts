import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';

type SessionTimer = { readonly cancel: () => void } & Record<'periodMs' | 'firedAt', number>;

/** The timers of one life of a link, by name. */
export class SessionTimers<Name extends string> {
  readonly #clock: Clock;
  readonly #timers = new Map<Name, SessionTimer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts a timer, or gives it another period; goes on counting from when it last fired, so that no churn can hold it off. */
  every(name: Name, periodMs: () => number, run: () => void): void {
    const before = this.#timers.get(name);
    if (before?.periodMs === periodMs()) return;
    before?.cancel();
    const arm = (firedAt: number): void => {
      const period = periodMs();
      const left = Math.max(0, firedAt + period - this.#clock.monotonic());
      const cancel = setLongTimeout(this.#clock, left, () => {
        arm(this.#clock.monotonic());
        run();
      });
      this.#timers.set(name, { cancel, periodMs: period, firedAt });
    };
    arm(before?.firedAt ?? this.#clock.monotonic());
  }

  stop(): void {
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}
