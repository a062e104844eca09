const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** How long to wait after so many failures in a row, from 1; jittered, so that processes do not try again all at once. */
export function retryDelayMs(failures: number, random: () => number): number {
  return Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS) * (0.5 + random() / 2);
}
