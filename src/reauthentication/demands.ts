import type { Clock } from '../time/clock.js';
import { digestOf, type CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import { TimeoutError } from '../errors.js';
import { unlessAborted, withDeadline } from '../time/timers.js';

/** Somebody who waits for valid credentials. */
export interface Demand<T> {
  readonly minValidityMs: number;
  /** What was stored when it was first known what is, by digest; `null` for nothing. */
  startedWith: string | null | undefined;
  readonly resolve: (snapshot: CredentialSnapshot<T>) => void;
  readonly reject: (error: Error) => void;
}

/** A demand and what becomes of it. */
export interface Demanded<T> {
  readonly demand: Demand<T>;
  readonly settled: Promise<CredentialSnapshot<T>>;
}

/** All who wait for valid credentials; who was answered does not any longer. */
export class Demands<T> {
  readonly #clock: Clock;
  readonly #demands = new Set<Demand<T>>();
  readonly #abandoned: () => void;

  /** @param abandoned - called when the last one who waited gave up */
  constructor(clock: Clock, abandoned: () => void) {
    this.#clock = clock;
    this.#abandoned = abandoned;
  }

  get size(): number {
    return this.#demands.size;
  }

  [Symbol.iterator](): Iterator<Demand<T>> {
    return this.#demands.values();
  }

  /** Settles when somebody settles it, the time is over, or the signal aborts; then it is forgotten. */
  add(
    minValidityMs: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    cause: () => Error | undefined,
  ): Demanded<T> {
    const { demand, answer } = this.#wait(minValidityMs);
    const late = (): Error => new TimeoutError('getting valid credentials', timeoutMs, cause());
    const settled = unlessAborted(withDeadline(this.#clock, answer, timeoutMs, late), signal);
    return {
      demand,
      settled: settled.finally(() => {
        if (!this.#demands.has(demand)) return;
        // Lets the deadline go of one that was given up.
        demand.reject(late());
        if (this.#demands.size === 0) this.#abandoned();
      }),
    };
  }

  #wait(minValidityMs: number): {
    readonly demand: Demand<T>;
    readonly answer: Promise<CredentialSnapshot<T>>;
  } {
    let demand!: Demand<T>;
    const answer = new Promise<CredentialSnapshot<T>>((resolve, reject) => {
      demand = {
        minValidityMs,
        startedWith: undefined,
        // At once, and not when the promise tells: nothing is fetched for somebody who has got it.
        resolve: (snapshot) => {
          this.#demands.delete(demand);
          resolve(snapshot);
        },
        reject: (error) => {
          this.#demands.delete(demand);
          reject(error);
        },
      };
    });
    this.#demands.add(demand);
    return { demand, answer };
  }
}

/** Notes what a demand began with, once that is known. */
export function begin<T>(demand: Demand<T>, state: CredentialState<T>): void {
  if (demand.startedWith !== undefined) return;
  if (state.type === 'unknown' || state.type === 'withheld') return;
  const held = state.type === 'present' ? state.snapshot : undefined;
  demand.startedWith = (held && digestOf(held)) ?? null;
}
