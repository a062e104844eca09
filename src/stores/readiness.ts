import { statusStream } from './streams.js';
import type { Clock } from '../time/clock.js';
import type { ReadyOptions } from '../credential/contract.js';
import { ClosedError, TimeoutError } from '../errors.js';
import { checkOptions } from '../util/options.js';
import { setLongTimeout } from '../time/timers.js';
import type { EventSource, LiveWaiter } from '../watching/event-source.js';
import { READY_OPTIONS } from './options.js';

type Pinnable<T> = Named<T> & { keepAlive(): void };

/** A store has an id, a directory has none. */
type Named<T> = EventSource<T> & { readonly id?: string };

/** Starts watching for good, and resolves when that is live. */
export function becomeReady<T>(
  live: Pinnable<T>,
  options: ReadyOptions,
  clock: Clock,
  readyTimeoutMs: number,
): Promise<void> {
  // Not an async function: of a hundred thousand that wait, each would keep what it holds in several promises. What is thrown rejects this one.
  return new Promise((resolve, reject) => {
    checkOptions(READY_OPTIONS, options);
    const { signal, timeoutMs = readyTimeoutMs } = options;
    if (live.closed) throw new ClosedError(nameOf(live));
    signal?.throwIfAborted();
    live.keepAlive();
    // Whoever is live already need not wait, and mostly is: all stores of one credential become so together.
    if (live.status.link === 'live') resolve();
    else wait(new Wait(live, resolve, reject), live, { signal, timeoutMs, clock });
  });
}

function wait<T>(
  waiting: Wait,
  live: Pinnable<T>,
  {
    signal,
    timeoutMs,
    clock,
  }: { signal: AbortSignal | undefined; timeoutMs: number; clock: Clock },
): void {
  if (timeoutMs !== Infinity) waiting.limit(clock, timeoutMs);
  if (signal !== undefined) waiting.obey(signal);
  if (waiting.over) return;
  if (live.awaitLive !== undefined) live.awaitLive(waiting);
  else waiting.leaveBy(whenLive(live, waiting));
}

/** One call that waits for a credential to become live. */
class Wait implements LiveWaiter {
  readonly of: Named<unknown>;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #over = false;
  /** Lets go of what it waits by, one after the other; mostly there is at most one. */
  #ending: (() => void) | undefined;

  constructor(of: Named<unknown>, resolve: () => void, reject: (error: unknown) => void) {
    this.of = of;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get over(): boolean {
    return this.#over;
  }

  settle(isLive: boolean): void {
    if (isLive) this.#resolve();
    else this.#reject(new ClosedError(nameOf(this.of)));
    this.#end();
  }

  limit(clock: Clock, timeoutMs: number): void {
    const cancel = setLongTimeout(clock, timeoutMs, () => {
      // After a blocked event loop the answer may be in already, just not read: timers run before input.
      clock.nextTurn(() => {
        const { id, status } = this.of;
        const of = id === undefined ? 'the directory' : `"${id}"`;
        this.#fail(new TimeoutError(`ready() of ${of}: not live`, timeoutMs, status.error));
      });
    });
    this.leaveBy(cancel);
  }

  obey(signal: AbortSignal): void {
    const aborted = (): void => {
      this.#fail(signal.reason);
    };
    // Starting to watch may have aborted it.
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    this.leaveBy(() => {
      signal.removeEventListener('abort', aborted);
    });
  }

  /** Calls `leave` when this need not wait any longer: at once, when that is so already. */
  leaveBy(leave: () => void): void {
    const before = this.#ending;
    if (this.#over) leave();
    else if (before === undefined) this.#ending = leave;
    else
      this.#ending = () => {
        before();
        leave();
      };
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#reject(error);
    this.of.leaveLive?.(this);
    this.#end();
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
      if (status.link === 'live') waiter.settle(true);
    },
    complete: () => {
      waiter.settle(false);
    },
  });
  return () => {
    subscription.unsubscribe();
  };
}

function nameOf({ id }: Named<unknown>): string {
  return id === undefined ? 'the directory' : `the store of "${id}"`;
}
