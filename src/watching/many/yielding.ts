import type { Clock } from '../../time/clock.js';
import type { ReadBatcher } from './read-batcher.js';
import { SLICE_MS } from './time-sliced-clock.js';

const STRIDE = 16;

/** Lets whoever goes through very many credentials leave room for others: for other work of the process, and for the looks under way. */
export class TimeSlicer {
  readonly #clock: Clock;
  readonly #reads: ReadBatcher;
  #steps = 0;
  #until = -Infinity;

  /** @param clock - that of the machine */
  constructor(clock: Clock, looks: ReadBatcher) {
    this.#clock = clock;
    this.#reads = looks;
  }

  /** To be waited for after each step, if there is anything to wait for. */
  yield(): Promise<void> | undefined {
    const room = this.#reads.capacity();
    if (room !== undefined) return room;
    this.#steps += 1;
    if (this.#steps % STRIDE !== 0 || this.#clock.monotonic() < this.#until) return undefined;
    return new Promise((resolve) => {
      this.#clock.nextTurn(() => {
        this.#until = this.#clock.monotonic() + SLICE_MS;
        resolve();
      });
    });
  }
}
