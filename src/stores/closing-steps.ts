import type { Clock } from '../time/clock.js';
import { withDeadline } from '../time/timers.js';
import { TimeoutError } from '../errors.js';

/** The end of a store or of a directory, in the order of the members. */
export interface ClosingSteps {
  readonly clock: Clock;
  readonly closeTimeoutMs: number;
  /** The `close` of each object that was built on the store and closes before it. */
  readonly dependents: Iterable<() => Promise<void>>;
  /** Ends the watch and every stream. */
  endWatch(): void;
  /** Resolves when no write is under way. */
  idle(): Promise<void>;
  /** Sends nothing from now on, and releases what no other store needs, within the time that is left. */
  release(leftMs: number): Promise<void>;
}

/** Never waits longer than `closeTimeoutMs` after the last of the dependents, which have time limits of their own. */
export async function closeInOrder(steps: ClosingSteps): Promise<void> {
  const { clock, closeTimeoutMs, dependents } = steps;
  const closing = [...dependents].map((close) => close());
  // Without dependents the watch ends within the call, so that a caller in the middle of an event receives nothing more.
  if (closing.length > 0) await Promise.allSettled(closing);
  const startedAt = clock.monotonic();
  steps.endWatch();
  const late = (): Error => new TimeoutError('close(): writes are still under way', closeTimeoutMs);
  await withDeadline(clock, steps.idle(), closeTimeoutMs, late).catch(() => undefined);
  await steps.release(Math.max(0, closeTimeoutMs - (clock.monotonic() - startedAt)));
}
