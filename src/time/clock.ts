import { inRootContext } from './async-context.js';

/**
 * Time as the store sees it. Every wait and every timestamp comes from a `Clock`, so that tests run in virtual time.
 *
 * @public
 */
export interface Clock {
  /** Wall time in epoch milliseconds; may step in either direction. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back, fractions allowed. */
  monotonic(): number;
  /**
   * Calls `run` once after `delayMs` milliseconds (0 to 2^30).
   *
   * @returns a function that cancels the call; calling it late or twice does nothing
   */
  setTimer(run: () => void, delayMs: number): () => void;
  /** Calls `run` after the input that is being processed now, before any timer that is not due. */
  nextTurn(run: () => void): void;
}

/**
 * The clock of this machine and process.
 *
 * @public
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(run, delayMs) {
    // A timer runs, and keeps alive, the context in which it was set.
    const timer = inRootContext(() => setTimeout(run, delayMs));
    return () => {
      clearTimeout(timer);
    };
  },
  nextTurn(run) {
    inRootContext(() => setImmediate(run));
  },
};

/** `setTimeout` fires at once for delays past 2^31-1 ms; longer waits are cut into pieces of this length. */
export const LONGEST_TIMER_MS: number = 2 ** 30;
