/** Pauses between attempts that failed. */
export interface BackOff {
  readonly initialMs: number;
  readonly maxMs: number;
}

/**
 * The pause after a number of failures in a row, from 1: the length doubles with each failure, less up to half at random, so that instances
 * do not come back all at once.
 */
export function pauseAfter(
  failures: number,
  { initialMs, maxMs }: BackOff,
  random: () => number,
): number {
  const longest = Math.min(initialMs * 2 ** Math.min(failures - 1, 30), maxMs);
  return longest * (1 - random() / 2);
}
