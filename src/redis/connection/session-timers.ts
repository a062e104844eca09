import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';

type SessionTimer = { readonly cancel: () => void } & Record<'periodMs' | 'firedAt', number>;

/** The timers of one feed session, by name. */
export class SessionTimers<Name extends string> {
  readonly #clock: Clock;
  readonly #timers = new Map<Name, SessionTimer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts a timer, or changes its period. The period counts from the last call, so that frequent changes cannot postpone it. */
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

  /** Stops one timer, or all. */
  stop(name?: Name): void {
    if (name !== undefined) {
      this.#timers.get(name)?.cancel();
      this.#timers.delete(name);
      return;
    }
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}
