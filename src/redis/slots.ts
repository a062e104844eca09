/** Lets a bounded number of calls be under way; the others wait their turn. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  /** Index of the first who still waits; taking them off the front one by one would be slow in a long line. */
  #first = 0;

  constructor(size: number) {
    this.#free = size;
  }

  async run<R>(call: () => Promise<R>): Promise<R> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await call();
    } finally {
      this.#passOn();
    }
  }

  #passOn(): void {
    const next = this.#waiting[this.#first];
    if (next === undefined) {
      this.#waiting.length = 0;
      this.#first = 0;
      this.#free += 1;
    } else {
      this.#first += 1;
      next();
    }
  }
}
