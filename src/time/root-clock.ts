import { inRootContext } from './async-context.js';
import { systemClock, type Clock } from './clock.js';

/** A clock of the caller, whose timers and turns run in the root context, whatever the context in which the caller's clock fires them. */
class RootClock implements Clock {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  setTimer(run: () => void, delayMs: number): () => void {
    const inRoot = (): void => {
      inRootContext(run);
    };
    return inRootContext(() => this.#clock.setTimer(inRoot, delayMs));
  }

  nextTurn(run: () => void): void {
    inRootContext(() => {
      this.#clock.nextTurn(() => {
        inRootContext(run);
      });
    });
  }
}

/** The clock for work that serves all callers; the clock of the machine is one already. */
export function rootClock(clock: Clock): Clock {
  return clock === systemClock ? clock : new RootClock(clock);
}
