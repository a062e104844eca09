import { monitorEventLoopDelay } from 'node:perf_hooks';

import { beforeEach, expect } from 'vitest';

const LEAST_MS = 300;
/** What is measured waits for more than this one process: a link, a server, a child. */
const PROCESSES = 4;

const lateness = monitorEventLoopDelay({ resolution: 5 });

/** Measures from the beginning of each test on how late this machine is; call it at the top of a file. */
export function useMachineNoise(): void {
  lateness.enable();
  beforeEach(() => lateness.reset());
}

/**
 * How much later than promised something may come on this machine, as busy as it has been since the test began: by how much its
 * timers were late at worst. So a bound holds closely on a quiet machine, and a load is not taken for a fault.
 */
export function noiseMs(): number {
  return LEAST_MS + PROCESSES * latenessMs();
}

/** By how much the timers of this process have been late at worst since the test began. */
export function latenessMs(): number {
  return lateness.max / 1e6;
}

/** Awaits something that has to come within a bound. The limit of the wait itself is for what never comes. */
export async function expectWithin<T>(boundMs: number, wait: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await wait();
  expect(performance.now() - startedAt).toBeLessThan(boundMs + noiseMs());
  return result;
}
