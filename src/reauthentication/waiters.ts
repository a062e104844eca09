import type { Clock } from '../time/clock.js';
import { digestOf, type CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import {
  ReauthenticationError,
  TimeoutError,
  withId,
  type ReauthenticationFailure,
  type ReauthenticationFailureDetails,
} from '../errors.js';
import { abortable, withDeadline } from '../time/timers.js';

/** A caller that waits for valid credentials. */
export interface Waiter<T> {
  readonly minValidityMs: number;
  /** The monotonic instant at which the caller gives up. */
  readonly deadlineAt: number;
  /** The digest of the stored bytes at the first state known to this waiter; `null` for none. */
  startedWith: string | null | undefined;
  /** Whether a reading after the call of this waiter found nothing stored. */
  isAbsenceConfirmed: boolean;
  readonly resolve: (snapshot: CredentialSnapshot<T>) => void;
  readonly reject: (error: Error) => void;
}

/** A waiter, and the promise for its caller. */
export interface RegisteredWaiter<T> {
  readonly waiter: Waiter<T>;
  readonly settled: Promise<CredentialSnapshot<T>>;
}

/** All callers that wait for valid credentials; a settled waiter is removed. */
export class Waiters<T> {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter<T>>();
  readonly #abandoned: () => void;

  /** @param abandoned - called when the last waiter gave up */
  constructor(clock: Clock, abandoned: () => void) {
    this.#clock = clock;
    this.#abandoned = abandoned;
  }

  get size(): number {
    return this.#waiters.size;
  }

  [Symbol.iterator](): Iterator<Waiter<T>> {
    return this.#waiters.values();
  }

  /** Registers a waiter until its answer, its timeout, or the abort of its signal. */
  add(
    minValidityMs: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    cause: () => Error | undefined,
  ): RegisteredWaiter<T> {
    const { waiter, answer } = this.#register(minValidityMs, timeoutMs);
    const late = (): Error => new TimeoutError('credentials(): no valid ones', timeoutMs, cause());
    const settled = abortable(withDeadline(this.#clock, answer, timeoutMs, late), signal);
    return {
      waiter,
      settled: settled.finally(() => {
        if (!this.#waiters.has(waiter)) return;
        // Cancels the deadline of a waiter that gave up.
        waiter.reject(late());
        if (this.#waiters.size === 0) this.#abandoned();
      }),
    };
  }

  #register(
    minValidityMs: number,
    timeoutMs: number,
  ): {
    readonly waiter: Waiter<T>;
    readonly answer: Promise<CredentialSnapshot<T>>;
  } {
    let waiter!: Waiter<T>;
    const answer = new Promise<CredentialSnapshot<T>>((resolve, reject) => {
      waiter = {
        minValidityMs,
        deadlineAt: this.#clock.monotonic() + timeoutMs,
        startedWith: undefined,
        isAbsenceConfirmed: false,
        // Removed before the promise settles, because a settled waiter is no reason to renew.
        resolve: (snapshot) => {
          this.#waiters.delete(waiter);
          resolve(snapshot);
        },
        reject: (error) => {
          this.#waiters.delete(waiter);
          reject(error);
        },
      };
    });
    this.#waiters.add(waiter);
    return { waiter, answer };
  }
}

/** Records the credential that a waiter started with, as soon as it is known. */
export function noteStart<T>(waiter: Waiter<T>, state: CredentialState<T>): void {
  if (waiter.startedWith !== undefined) return;
  if (state.type === 'unknown' || state.type === 'withheld') return;
  const snapshot = state.type === 'present' ? state.snapshot : undefined;
  waiter.startedWith = (snapshot && digestOf(snapshot)) ?? null;
}

/** Rejects a waiter. @param id - of the credential */
export function refuse(
  waiter: Pick<Waiter<never>, 'reject'>,
  id: string,
  reason: ReauthenticationFailure,
  message: string,
  details?: ReauthenticationFailureDetails,
): void {
  waiter.reject(withId(new ReauthenticationError(reason, message, details), id));
}
