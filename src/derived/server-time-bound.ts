import type { Clock } from '../time/clock.js';

/** Far more than it takes to read a key, and so than the instant in a change can lag behind the server's clock. */
const READING_MS = 5_000;

/** Clocks of healthy machines run apart by far less, as a share of the time. */
const DRIFT = 1e-3;

/**
 * What the server's clock shows at most, from the instants that changes carry. A store judges the end of the credential it holds;
 * this is for the one before.
 */
export class ServerTimeBound {
  readonly #clock: Clock;
  #seen: { readonly at: number; readonly wall: number; readonly monotonic: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in that the server's clock shows `at` or, by the time it took to read that, a little more. */
  note(at: number): void {
    this.#seen = { at, wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
  }

  /** `Infinity` before anything was noted. */
  latest(): number {
    if (this.#seen === undefined) return Infinity;
    const { at, wall, monotonic } = this.#seen;
    // While a machine sleeps its monotonic clock may stand still; a wall clock may be set back.
    const elapsed = Math.max(this.#clock.now() - wall, this.#clock.monotonic() - monotonic);
    return at + elapsed * (1 + DRIFT) + READING_MS;
  }
}
