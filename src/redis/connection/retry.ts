import { pauseAfter } from '../../time/back-off.js';

const LOST_BACK_OFF = { initialMs: 50, maxMs: 5_000 };
/** A refused login does not succeed sooner by faster attempts. */
const DENIED_BACK_OFF = { ...LOST_BACK_OFF, initialMs: 1_000 };

/** The pause before the next connection after a number of failures in a row, from 1. */
export function retryPauseMs(failures: number, denied: boolean, random: () => number): number {
  return pauseAfter(failures, denied ? DENIED_BACK_OFF : LOST_BACK_OFF, random);
}
