/** Lets a bounded number of calls be under way; the others wait their turn. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  /** Index of the first who still waits; taking them off the front one by one would be slow in a long line. */
  #first = 0;

  constructor(size: number) {
    this.#free = size;
  }

  /** Takes a slot: resolves when it is there; `undefined` when it is there at once. */
  acquire(): Promise<void> | undefined {
    if (this.#free === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#free -= 1;
    return undefined;
  }

  /** Gives a slot back. */
  release(): void {
    const next = this.#waiting[this.#first];
    if (next === undefined) {
      this.#waiting.length = 0;
      this.#first = 0;
      this.#free += 1;
    } else {
      this.#first += 1;
      // A line that never ends must not keep all who ever stood in it; half at a time, so that it costs nothing each.
      if (this.#first * 2 >= this.#waiting.length) {
        this.#waiting.splice(0, this.#first);
        this.#first = 0;
      }
      next();
    }
  }
}
