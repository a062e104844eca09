/** How long the cluster waits after so many attempts in a row that brought nothing. */
export interface BackOff {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** Doubles with each failure, and leaves out up to half at random, so that nobody meets twice. */
export function pauseAfter(
  failures: number,
  { initialMs, maxMs }: BackOff,
  random: () => number,
): number {
  const longest = Math.min(initialMs * 2 ** Math.min(failures - 1, 30), maxMs);
  return longest * (1 - random() / 2);
}
