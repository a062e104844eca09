import { pauseAfter } from '../../time/back-off.js';

const LOST_BACK_OFF = { initialMs: 50, maxMs: 5_000 };
/** Who is refused is not let in by knocking faster. */
const DENIED_BACK_OFF = { ...LOST_BACK_OFF, initialMs: 1_000 };

/** How long to wait before connecting again after so many failures in a row, from 1. */
export function retryPauseMs(failures: number, denied: boolean, random: () => number): number {
  return pauseAfter(failures, denied ? DENIED_BACK_OFF : LOST_BACK_OFF, random);
}
