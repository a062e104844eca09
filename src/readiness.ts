import { statusStream } from './change-streams.js';
import type { Clock } from './clock.js';
import type { ReadyOptions } from './credential-store.js';
import { ClosedError, TimeoutError } from './errors.js';
import { checkMs, checkNames, checkSignal } from './option-checks.js';
import { unlessAborted, withDeadline } from './waiting.js';
import type { Telling } from './watched-credential.js';

/** Starts watching for good, and resolves when that is live. */
export async function becomeReady<T>(
  live: Telling<T> & { pin(): void },
  options: ReadyOptions,
  clock: Clock,
  readyTimeoutMs: number,
): Promise<void> {
  checkNames(options, ['signal', 'timeoutMs']);
  const signal = checkSignal(options.signal);
  const { timeoutMs = readyTimeoutMs } = options;
  checkMs(timeoutMs, 'timeoutMs', 1, Infinity);
  if (live.closed) throw new ClosedError();
  signal?.throwIfAborted();
  live.pin();
  // Whoever is live already need not wait, and mostly is: all stores of one credential become so together.
  if (live.status.link === 'live') return;
  let stop: () => void = () => undefined;
  const ready = new Promise<void>((resolve, reject) => {
    const done = (isLive: boolean): void => {
      if (isLive) resolve();
      else reject(new ClosedError());
    };
    const leave = live.whenLive?.(done) ?? whenLive(live, done);
    stop = () => {
      leave();
      // Nobody waits any longer: lets the deadline go, which would outlive the store.
      resolve();
    };
  });
  const late = (): Error => new TimeoutError('becoming live', timeoutMs, live.status.error);
  try {
    await unlessAborted(withDeadline(clock, ready, timeoutMs, late), signal);
  } finally {
    stop();
  }
}

function whenLive<T>(live: Telling<T>, done: (live: boolean) => void): () => void {
  const subscription = statusStream(live).subscribe({
    next: (status) => {
      if (status.link === 'live') done(true);
    },
    complete: () => {
      done(false);
    },
  });
  return () => {
    subscription.unsubscribe();
  };
}
