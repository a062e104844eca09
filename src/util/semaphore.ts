/** Grants a bounded number of permits; further callers wait in line. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  /** Index of the first waiter; removing waiters from the front one by one would be slow in a long line. */
  #first = 0;

  constructor(size: number) {
    this.#free = size;
  }

  /** Takes a permit: `undefined` when one is free now, else a promise that resolves with the permit. */
  acquire(): Promise<void> | undefined {
    if (this.#free === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#free -= 1;
    return undefined;
  }

  /** Returns a permit. */
  release(): void {
    const next = this.#waiting[this.#first];
    if (next === undefined) {
      this.#waiting.length = 0;
      this.#first = 0;
      this.#free += 1;
    } else {
      this.#first += 1;
      // A line that never empties must not keep its past waiters. Half of the line is dropped at a time, which costs nothing per waiter.
      if (this.#first * 2 >= this.#waiting.length) {
        this.#waiting.splice(0, this.#first);
        this.#first = 0;
      }
      next();
    }
  }
}
