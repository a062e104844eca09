import type { Clock } from '../time/clock.js';
import { digestOf, type CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import { TimeoutError } from '../errors.js';
import { abortable, withDeadline } from '../time/timers.js';

/** Somebody who waits for valid credentials. */
export interface Waiter<T> {
  readonly minValidityMs: number;
  /** What was stored when it was first known what is, by digest; `null` for nothing. */
  startedWith: string | null | undefined;
  readonly resolve: (snapshot: CredentialSnapshot<T>) => void;
  readonly reject: (error: Error) => void;
}

/** A demand and what becomes of it. */
export interface RegisteredWaiter<T> {
  readonly waiter: Waiter<T>;
  readonly settled: Promise<CredentialSnapshot<T>>;
}

/** All who wait for valid credentials; who was answered does not any longer. */
export class Waiters<T> {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter<T>>();
  readonly #abandoned: () => void;

  /** @param abandoned - called when the last one who waited gave up */
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

  /** Settles when somebody settles it, the time is over, or the signal aborts; then it is forgotten. */
  add(
    minValidityMs: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    cause: () => Error | undefined,
  ): RegisteredWaiter<T> {
    const { demand, answer } = this.#wait(minValidityMs);
    const late = (): Error => new TimeoutError('credentials(): no valid ones', timeoutMs, cause());
    const settled = abortable(withDeadline(this.#clock, answer, timeoutMs, late), signal);
    return {
      waiter: demand,
      settled: settled.finally(() => {
        if (!this.#waiters.has(demand)) return;
        // Lets the deadline go of one that was given up.
        demand.reject(late());
        if (this.#waiters.size === 0) this.#abandoned();
      }),
    };
  }

  #wait(minValidityMs: number): {
    readonly demand: Waiter<T>;
    readonly answer: Promise<CredentialSnapshot<T>>;
  } {
    let demand!: Waiter<T>;
    const answer = new Promise<CredentialSnapshot<T>>((resolve, reject) => {
      demand = {
        minValidityMs,
        startedWith: undefined,
        // At once, and not when the promise tells: nothing is fetched for somebody who has got it.
        resolve: (snapshot) => {
          this.#waiters.delete(demand);
          resolve(snapshot);
        },
        reject: (error) => {
          this.#waiters.delete(demand);
          reject(error);
        },
      };
    });
    this.#waiters.add(demand);
    return { demand, answer };
  }
}

/** Notes what a demand began with, once that is known. */
export function begin<T>(demand: Waiter<T>, state: CredentialState<T>): void {
  if (demand.startedWith !== undefined) return;
  if (state.type === 'unknown' || state.type === 'withheld') return;
  const held = state.type === 'present' ? state.snapshot : undefined;
  demand.startedWith = (held && digestOf(held)) ?? null;
}
