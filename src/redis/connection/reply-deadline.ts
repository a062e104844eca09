import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';

/** A call that waits for its reply. */
export interface PendingCall {
  /** Monotonic. */
  readonly sentAt: number;
  readonly dueAt: number;
  /** A number that no other call on the connection has. */
  readonly question: number;
  readonly reject: (error: Error) => void;
}

/**
 * The deadlines of all calls on one connection, on one timer: a timer for each call would cost more than the rest of the call. The timer is
 * not canceled when its calls have their replies, and is then set for the calls that wait at that time.
 */
export class ReplyDeadline {
  readonly #clock: Clock;
  readonly #timeoutMs: () => number;
  readonly #late: () => void;
  readonly #calls = new Set<PendingCall>();
  #cancelTimer: (() => void) | undefined;
  #firesAt = Infinity;
  /** The number of calls so far. */
  #questions = 0;

  /** @param late - called when a reply did not come in time; must stop all */
  constructor(clock: Clock, timeoutMs: () => number, late: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#late = late;
  }

  /** Whether a call waits for its reply. */
  get pending(): boolean {
    return this.#calls.size > 0;
  }

  start(reject: (error: Error) => void): PendingCall {
    const sentAt = this.#clock.monotonic();
    const dueAt = sentAt + this.#timeoutMs();
    this.#questions += 1;
    const call: PendingCall = { sentAt, dueAt, question: this.#questions, reject };
    this.#calls.add(call);
    if (dueAt < this.#firesAt) this.#arm(dueAt);
    return call;
  }

  end(call: PendingCall): void {
    this.#calls.delete(call);
  }

  /** Stops the timer. Waiting calls are rejected a turn later, so that replies which have been received already are processed before. */
  stop(error: Error): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#firesAt = -Infinity;
    if (this.#calls.size === 0) return;
    this.#clock.nextTurn(() => {
      for (const { reject } of this.#calls) reject(error);
      this.#calls.clear();
    });
  }

  #arm(at: number): void {
    this.#cancelTimer?.();
    this.#firesAt = at;
    this.#cancelTimer = setLongTimeout(this.#clock, at - this.#clock.monotonic(), () => {
      this.#fire();
    });
  }

  #fire(): void {
    const now = this.#clock.monotonic();
    const due = [...this.#calls].filter(({ dueAt }) => dueAt <= now);
    // After a blocked event loop the replies may have arrived without having been read: timers run before input.
    if (due.length > 0)
      this.#clock.nextTurn(() => {
        if (due.some((call) => this.#calls.has(call))) this.#late();
      });
    this.#firesAt = Infinity;
    this.#cancelTimer = undefined;
    let next = Infinity;
    for (const { dueAt } of this.#calls) if (dueAt > now) next = Math.min(next, dueAt);
    if (next < Infinity) this.#arm(next);
  }
}
