const FIRST_MS = 50;
const LONGEST_MS = 5_000;
/** Who is refused is not let in by knocking faster. */
const FIRST_DENIED_MS = 1_000;

/** How long to wait before connecting again after so many failures in a row; jittered, so that processes do not come back all at once. */
export function retryPauseMs(failures: number, denied: boolean, random: () => number): number {
  const first = denied ? FIRST_DENIED_MS : FIRST_MS;
  return Math.min(first * 2 ** failures, LONGEST_MS) * (0.5 + random() / 2);
}
