import { statusStream } from './streams.js';
import type { Clock } from '../time/clock.js';
import type { ReadyOptions } from '../credential/contract.js';
import { ClosedError, TimeoutError, withId } from '../errors.js';
import { checkOptions } from '../util/options.js';
import { setLongTimeout } from '../time/timers.js';
import {
  outcomeOf,
  type EventSource,
  type LiveWaiter,
  type WaitOutcome,
} from '../watching/event-source.js';
import { READY_OPTIONS } from './options.js';

type Startable<T> = Named<T> & { keepAlive(): void };

/** A store has an id, a directory has none. */
type Named<T> = EventSource<T> & { readonly id?: string };

/**
 * Starts a watch that lasts until the end of the store. Resolves when the watch is live; rejects at once when Redis turns the store away, and
 * the watch goes on.
 */
export function becomeReady<T>(
  live: Startable<T>,
  options: ReadyOptions,
  clock: Clock,
  readyTimeoutMs: number,
): Promise<void> {
  // Not an async function: a hundred thousand waiters would each keep several promises. An error thrown in here rejects the promise.
  return new Promise((resolve, reject) => {
    checkOptions(READY_OPTIONS, options);
    const { signal, timeoutMs = readyTimeoutMs } = options;
    if (live.closed) throw new ClosedError(nameOf(live));
    signal?.throwIfAborted();
    live.keepAlive();
    // Most stores are live already, because all stores of one credential become live together.
    const outcome = outcomeOf(live.status);
    const waiter = new ReadyWaiter(live, resolve, reject);
    if (outcome !== undefined) waiter.settle(outcome);
    else wait(waiter, live, { signal, timeoutMs, clock });
  });
}

function wait<T>(
  waiter: ReadyWaiter,
  live: Startable<T>,
  {
    signal,
    timeoutMs,
    clock,
  }: { signal: AbortSignal | undefined; timeoutMs: number; clock: Clock },
): void {
  if (timeoutMs !== Infinity) waiter.limit(clock, timeoutMs);
  if (signal !== undefined) waiter.obey(signal);
  if (waiter.over) return;
  if (live.awaitLive !== undefined) live.awaitLive(waiter);
  else waiter.onEnd(whenLive(live, waiter));
}

/** One call that waits for a credential to become live. */
class ReadyWaiter implements LiveWaiter {
  readonly of: Named<unknown>;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #over = false;
  /** Releases the timer, the listener and the subscription; most waiters have at most one of them. */
  #ending: (() => void) | undefined;

  constructor(of: Named<unknown>, resolve: () => void, reject: (error: unknown) => void) {
    this.of = of;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get over(): boolean {
    return this.#over;
  }

  settle(outcome: WaitOutcome): void {
    if (outcome === 'live') this.#resolve();
    else this.#rejectWith(outcome === 'closed' ? new ClosedError(nameOf(this.of)) : outcome);
    this.#end();
  }

  limit(clock: Clock, timeoutMs: number): void {
    const cancel = setLongTimeout(clock, timeoutMs, () => {
      // After a blocked event loop the answer may have arrived without having been read: timers run before input.
      clock.nextTurn(() => {
        const { id, status } = this.of;
        const of = id === undefined ? 'the directory' : `"${id}"`;
        this.#fail(new TimeoutError(`ready() of ${of}: not live`, timeoutMs, status.error));
      });
    });
    this.onEnd(cancel);
  }

  obey(signal: AbortSignal): void {
    const aborted = (): void => {
      this.#fail(signal.reason);
    };
    // A subscriber may have aborted the signal when the watch started.
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    this.onEnd(() => {
      signal.removeEventListener('abort', aborted);
    });
  }

  /** Calls `release` when the wait ends, or at once when the wait is over. */
  onEnd(release: () => void): void {
    const before = this.#ending;
    if (this.#over) release();
    else if (before === undefined) this.#ending = release;
    else
      this.#ending = () => {
        before();
        release();
      };
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#rejectWith(error);
    this.of.leaveLive?.(this);
    this.#end();
  }

  #rejectWith(error: unknown): void {
    const { id } = this.of;
    this.#reject(id === undefined ? error : withId(error, id));
  }

  #end(): void {
    this.#over = true;
    const ending = this.#ending;
    this.#ending = undefined;
    ending?.();
  }
}

function whenLive<T>(live: EventSource<T>, waiter: LiveWaiter): () => void {
  const subscription = statusStream(live).subscribe({
    next: (status) => {
      const outcome = outcomeOf(status);
      if (outcome !== undefined) waiter.settle(outcome);
    },
    complete: () => {
      waiter.settle('closed');
    },
  });
  return () => {
    subscription.unsubscribe();
  };
}

function nameOf({ id }: Named<unknown>): string {
  return id === undefined ? 'the directory' : `the store of "${id}"`;
}
