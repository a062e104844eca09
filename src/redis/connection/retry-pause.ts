import { pauseAfter } from '../../time/back-off.js';

const LOST = { initialMs: 50, maxMs: 5_000 };
/** Who is refused is not let in by knocking faster. */
const DENIED = { ...LOST, initialMs: 1_000 };

/** How long to wait before connecting again after so many failures in a row, from 1. */
export function retryPauseMs(failures: number, denied: boolean, random: () => number): number {
  return pauseAfter(failures, denied ? DENIED : LOST, random);
}
