import { availableParallelism, loadavg } from 'node:os';

/** The load of each processor, programs that run or would like to, while nothing but these tests runs. */
const USUAL_LOAD = 3;
const MOST = 10;

/**
 * How many times longer than usual a program may wait for a processor at present. Deadlines that only a fault should reach are longer by it,
 * because a server that gets no processor looks like one that hangs.
 */
export function slowness(): number {
  const [lastMinute = 0] = loadavg();
  return Math.min(
    MOST,
    Math.max(1, Math.ceil(lastMinute / availableParallelism() - USUAL_LOAD + 1)),
  );
}
