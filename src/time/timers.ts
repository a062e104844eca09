import { LONGEST_TIMER_MS, type Clock } from './clock.js';

/** Calls `run` once after `delayMs`, which may be of any length; `Infinity` means never. Returns the cancel function. */
export function setLongTimeout(clock: Clock, delayMs: number, run: () => void): () => void {
  if (delayMs === Infinity) return () => undefined;
  const dueAt = clock.monotonic() + delayMs;
  let cancel: () => void;
  const arm = (): void => {
    const left = dueAt - clock.monotonic();
    cancel =
      left > 0
        ? clock.setTimer(arm, Math.min(Math.ceil(left), LONGEST_TIMER_MS))
        : clock.setTimer(run, 0);
  };
  arm();
  return () => {
    cancel();
  };
}

/** Settles as `promise` does, or rejects with `late()` after `timeoutMs`; a later result is dropped. */
export function withDeadline<R>(
  clock: Clock,
  promise: Promise<R>,
  timeoutMs: number,
  late: () => Error,
): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const cancel = setLongTimeout(clock, timeoutMs, () => {
      // After a blocked event loop the reply may have arrived without having been read: timers run before input.
      clock.nextTurn(() => {
        reject(late());
      });
    });
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as it aborts. */
export function abortable<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return promise;
  return new Promise<R>((resolve, reject) => {
    const aborted = (): void => {
      reject(signal.reason);
    };
    if (signal.aborted) {
      promise.catch(() => undefined);
      aborted();
      return;
    }
    signal.addEventListener('abort', aborted, { once: true });
    const settle = (): void => {
      signal.removeEventListener('abort', aborted);
    };
    promise.then(resolve, reject).finally(settle);
  });
}

/** Calls `next` with the value: synchronously when the value is no promise, because every await costs a turn. */
export function thenSync<V, R>(value: V | Promise<V>, next: (value: V) => R): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
