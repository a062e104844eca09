import type { RenewAttempt, RenewOutcome } from '../backend/attempts.js';
import type { AttemptVerbs } from '../backend/attempt-verbs.js';
import type { Clock } from '../time/clock.js';
import { setLongTimeout } from '../time/timers.js';

/** Keeps the lease of one attempt while it runs, and tells when another node has started. */
export class Lease {
  readonly #clock: Clock;
  readonly #attempts: AttemptVerbs;
  readonly #request: RenewAttempt;
  readonly #superseded: () => void;
  #cancelTimer: (() => void) | undefined;
  #dropped = false;
  /** By the monotonic clock; counted from when it was asked for, because the answer may have taken long. */
  #heldUntil: number;

  constructor(
    clock: Clock,
    attempts: AttemptVerbs,
    request: RenewAttempt,
    askedAt: number,
    superseded: () => void,
  ) {
    this.#clock = clock;
    this.#attempts = attempts;
    this.#request = request;
    this.#superseded = superseded;
    this.#heldUntil = askedAt + request.leaseMs;
  }

  keep(): void {
    this.#cancelTimer = setLongTimeout(this.#clock, this.#request.leaseMs / 3, () => {
      void this.#renew();
    });
  }

  /**
   * Whether nobody else has started. Asks when that is not sure, as after a pause of the process.
   *
   * @throws UnavailableError, RefusedError, OutcomeUnknownError
   */
  async holds(): Promise<boolean> {
    // An answer that took too long tells of a lease that may have ended since.
    while (this.#clock.monotonic() >= this.#heldUntil)
      if ((await this.#prolong()) !== 'held') return false;
    return true;
  }

  drop(): void {
    this.#dropped = true;
    this.#cancelTimer?.();
  }

  async #renew(): Promise<void> {
    try {
      const answer = await this.#prolong();
      if (this.#dropped || answer === 'ended') return;
      if (answer === 'superseded') {
        this.#superseded();
        return;
      }
    } catch {
      // Redis may answer the next time, and until somebody else starts nothing is lost.
      if (this.#dropped) return;
    }
    this.keep();
  }

  async #prolong(): Promise<RenewOutcome> {
    const askedAt = this.#clock.monotonic();
    const answer = await this.#attempts.renew(this.#request);
    this.#heldUntil = answer === 'held' ? askedAt + this.#request.leaseMs : -Infinity;
    return answer;
  }
}
