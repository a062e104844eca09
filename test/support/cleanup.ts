import { afterAll, afterEach } from 'vitest';

/** How long what is tracked lives: until the end of the test that made it, or of the `describe` around. */
export type Lifetime = 'test' | 'suite';

/** Ends what it was given. */
export interface Cleanup {
  /** Has `end` called when the lifetime is over; the last one tracked ends first. Returns `resource`. */
  track<T>(resource: T, end: (resource: T) => unknown): T;
}

/**
 * Call it where hooks may be registered: at the top of a file or in a `describe`. Ends everything even if one end fails,
 * and then fails with what went wrong.
 */
export function useCleanup(lifetime: Lifetime = 'test'): Cleanup {
  const ends: (() => unknown)[] = [];
  const endAll = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      try {
        await end();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'could not clean up');
  };
  if (lifetime === 'test') afterEach(endAll);
  else afterAll(endAll);
  return {
    track: (resource, end) => {
      ends.push(() => end(resource));
      return resource;
    },
  };
}
