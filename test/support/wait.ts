import { setTimeout as delay } from 'node:timers/promises';

import type { Observable } from 'rxjs';

import { HANG_MS, Inbox } from './inbox.js';

/** How long something may take. */
export interface WaitOptions {
  /** Default: {@link HANG_MS}. */
  readonly timeoutMs?: number;
}

/**
 * Calls `check` until it neither throws nor returns `false`, and resolves with what it returned. At the deadline it
 * rejects with the last failure, so the message of an `expect` inside says what is still wrong.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = HANG_MS }: WaitOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  const hanging = new Error(`the check itself had not settled after ${timeoutMs} ms`);
  let failure: unknown;
  for (;;) {
    const left = Math.max(0, deadline - performance.now());
    try {
      const result = await within(left, hanging, check());
      if (result !== false) return result;
      failure = new Error(`still false after ${timeoutMs} ms`);
    } catch (error) {
      // A check cut off at the deadline says less than the one before it.
      if (error !== hanging || failure === undefined) failure = error;
    }
    if (performance.now() >= deadline) throw failure;
    await delay(5);
  }
}

/** What emits events: Node's emitters, eventemitter3, ioredis, our stores. */
export interface EventSource {
  once(name: string, listener: (...args: unknown[]) => void): unknown;
  off(name: string, listener: (...args: unknown[]) => void): unknown;
}

/** The arguments of the next event of that name. Listens from now on, also before it is awaited. */
export function nextEvent<A extends unknown[] = unknown[]>(
  emitter: EventSource,
  name: string,
  { timeoutMs = HANG_MS }: WaitOptions = {},
): Promise<A> {
  const { promise, resolve } = deferred<A>();
  const listener = (...args: unknown[]): void => resolve(args as A);
  emitter.once(name, listener);
  const late = new Error(`no event ${name} within ${timeoutMs} ms`);
  return within(timeoutMs, late, promise).finally(() => emitter.off(name, listener));
}

/** What an observable has emitted. */
export interface Collected<T> {
  readonly values: readonly T[];
  readonly completed: boolean;
  /** What it failed with, if it did. */
  readonly error: unknown;
  /**
   * Awaits a value, one that came since the last `next` or one to come; see {@link Inbox}. Rejects when the deadline
   * passes, and when the observable fails or completes first.
   */
  next: Inbox<T>['next'];
  /** Unsubscribes; idempotent. */
  stop(): void;
}

/** Subscribes at once and keeps everything. */
export function collect<T>(source$: Observable<T>): Collected<T> {
  const inbox = new Inbox<T>();
  let completed = false;
  let failure: unknown;
  const subscription = source$.subscribe({
    next: (value) => inbox.push(value),
    error: (error: unknown) => {
      failure = error;
      inbox.end(error);
    },
    complete: () => {
      completed = true;
      inbox.end(new Error('completed before the awaited value'));
    },
  });
  return {
    values: inbox.values,
    get completed() {
      return completed;
    },
    get error() {
      return failure;
    },
    next: inbox.next.bind(inbox),
    stop: () => {
      subscription.unsubscribe();
      inbox.end(new Error('stopped before the awaited value'));
    },
  };
}

/** A promise that is settled from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;
}

/** `Promise.withResolvers()`, which Node 20 has not. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve'];
  let reject!: Deferred<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** `work`, or a rejection with `late` when it takes longer; what `work` does after that is dropped. */
export async function within<T>(
  timeoutMs: number,
  late: Error,
  work: T | PromiseLike<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late), timeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
