import type { Clock } from '../clock.js';
import { digestOf, type CredentialSnapshot } from '../credential-snapshot.js';
import type { CredentialState } from '../credential-state.js';
import { TimeoutError } from '../errors.js';
import { unlessAborted, withDeadline } from '../waiting.js';

/** Somebody who waits for valid credentials. */
export interface Demand<T> {
  readonly minValidityMs: number;
  /** What was stored when it was first known what is, by digest; `null` for nothing. */
  startedWith: string | null | undefined;
  readonly resolve: (snapshot: CredentialSnapshot<T>) => void;
  readonly reject: (error: Error) => void;
}

/** All who wait for valid credentials. */
export class Demands<T> {
  readonly #clock: Clock;
  readonly #demands = new Set<Demand<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
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
  ): Promise<CredentialSnapshot<T>> {
    let demand: Demand<T> | undefined;
    const settled = new Promise<CredentialSnapshot<T>>((resolve, reject) => {
      demand = { minValidityMs, startedWith: undefined, resolve, reject };
      this.#demands.add(demand);
    });
    const late = (): Error => new TimeoutError('getting valid credentials', timeoutMs, cause());
    return unlessAborted(withDeadline(this.#clock, settled, timeoutMs, late), signal).finally(
      () => {
        if (demand === undefined) return;
        this.#demands.delete(demand);
        // Lets the deadline go of one that was given up.
        demand.reject(late());
      },
    );
  }

  /** Notes what each demand began with, once that is known. */
  begin(state: CredentialState<T>): void {
    if (state.type === 'unknown' || state.type === 'withheld') return;
    const held = state.type === 'present' ? state.snapshot : undefined;
    const name = (held && digestOf(held)) ?? null;
    for (const demand of this.#demands)
      if (demand.startedWith === undefined) demand.startedWith = name;
  }
}
