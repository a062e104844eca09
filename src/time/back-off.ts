/** Pauses between attempts that brought nothing. */
export interface BackOff {
  readonly initialMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after so many failures in a row, from 1: doubles with each, and leaves out up to half at random, so that processes
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
