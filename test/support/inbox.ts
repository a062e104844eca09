import { inspect } from 'node:util';

/** How long a wait lasts by default: far more than anything takes, also on a busy machine, so that only a fault reaches it. */
export const HANG_MS = 60_000;

interface Waiter<T> {
  readonly wants: (value: T) => boolean;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Values that arrive at any time, taken one after the other. `next` looks at what has arrived since the value that the
 * last `next` gave, and then at what is still to come, so a script of several `next` proves an order and never takes an
 * old value for a new one.
 */
export class Inbox<T> {
  /** All that has arrived, also what no `next` asked for. */
  readonly values: T[] = [];
  readonly #waiters: Waiter<T>[] = [];
  #taken = 0;
  #ending: { readonly reason: unknown } | undefined;

  push(value: T): void {
    this.values.push(value);
    const index = this.#waiters.findIndex(({ wants }) => wants(value));
    const [waiter] = index < 0 ? [] : this.#waiters.splice(index, 1);
    if (waiter === undefined) return;
    this.#taken = this.values.length;
    waiter.resolve(value);
  }

  /** Nothing will arrive any more: pending and later `next` that find nothing reject with `reason` at once. */
  end(reason: unknown): void {
    this.#ending ??= { reason };
    for (const { reject } of this.#waiters.splice(0)) reject(reason);
  }

  /** The next value that `wants` accepts; passes over the others. Rejects at the deadline, saying what came instead. */
  next<S extends T>(wants: (value: T) => value is S, timeoutMs?: number): Promise<S>;
  next(wants?: (value: T) => boolean, timeoutMs?: number): Promise<T>;
  next(wants: (value: T) => boolean = () => true, timeoutMs = HANG_MS): Promise<T> {
    const index = this.values.findIndex((value, at) => at >= this.#taken && wants(value));
    if (index >= 0) {
      this.#taken = index + 1;
      return Promise.resolve(this.values[index]!);
    }
    if (this.#ending !== undefined) return Promise.reject(this.#ending.reason);
    return new Promise((resolve, reject) => {
      const waiter: Waiter<T> = {
        wants,
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(new Error(`nothing of what was awaited within ${timeoutMs} ms, ${this.#seen()}`));
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }

  #seen(): string {
    const last = this.values.slice(-3).map((value) => inspect(value, { depth: 2 }));
    return `${this.values.length} arrived, the last: ${last.join(', ')}`;
  }
}
