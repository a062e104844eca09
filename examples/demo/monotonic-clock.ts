/**
 * Milliseconds on a clock that all processes of one machine share, to the microsecond. `process.hrtime` counts from the
 * machine's start (CLOCK_MONOTONIC on Linux), not from the process', and nobody sets it, so an instant taken in one process may be
 * subtracted from one taken in another. `performance.now()` starts anew in every process, and `Date.now()` may step.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
