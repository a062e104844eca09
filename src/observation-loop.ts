import type { Clock } from './clock.js';

/** Whose observations a loop makes. */
export interface Observer {
  /** Makes one observation and applies it, unless the loop was stopped meanwhile; must not reject. */
  observe(loop: ObservationLoop): Promise<void>;
  /** Nothing is left to be observed: the loop may be forgotten, and another one be made when there is. */
  rested(loop: ObservationLoop): void;
}

/**
 * Turns any number of hints into observations: at most one under way, and after it exactly one more when hints came
 * meanwhile. Belongs to one generation of the link and dies with it.
 */
export class ObservationLoop {
  readonly #clock: Clock;
  readonly #observer: Observer;
  /** Counts the marks; an observation covers all that were set when it was issued. */
  #marks = 0;
  #state: 'resting' | 'scheduled' | 'observing' | 'stopped' = 'resting';
  #waiting: { readonly mark: number; readonly resolve: () => void }[] | undefined;

  constructor(clock: Clock, observer: Observer) {
    this.#clock = clock;
    this.#observer = observer;
  }

  /** A method, because it changes while others wait. */
  isStopped(): boolean {
    return this.#state === 'stopped';
  }

  get busy(): boolean {
    return this.#state === 'observing';
  }

  /** Something may have changed: an observation issued from now on will follow. */
  mark(): void {
    this.#marks += 1;
    this.#schedule();
  }

  /** Resolves when an observation issued from now on has been made, or when there will be none. */
  settled(): Promise<void> {
    if (this.isStopped()) return Promise.resolve();
    this.mark();
    return new Promise((resolve) => {
      (this.#waiting ??= []).push({ mark: this.#marks, resolve });
    });
  }

  stop(): void {
    this.#state = 'stopped';
    this.#release(Infinity);
  }

  #schedule(): void {
    if (this.#state !== 'resting') return;
    this.#state = 'scheduled';
    // One write sends several messages; they arrive together, and a turn later one observation serves them all.
    this.#clock.nextTurn(() => {
      if (this.#state === 'scheduled') void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#state = 'observing';
    const issued = this.#marks;
    await this.#observer.observe(this);
    if (this.isStopped()) return;
    this.#state = 'resting';
    this.#release(issued);
    if (this.#marks > issued) this.#schedule();
    else this.#observer.rested(this);
  }

  #release(upTo: number): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const later = waiting.filter((one) => one.mark > upTo);
    this.#waiting = later.length > 0 ? later : undefined;
    for (const one of waiting) if (one.mark <= upTo) one.resolve();
  }
}
