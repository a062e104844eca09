import type { Clock } from '../time/clock.js';

/** Who makes the observations of a loop. */
export interface Observer {
  /** Makes one observation and applies it, unless the loop was stopped meanwhile; sends at once what is to be sent, and must not reject. */
  observe(loop: ObservationLoop): Promise<void>;
  /** Whatever was marked so far is covered by the observation that was issued last. */
  coveredBy(): void;
  /** Nothing is left to be observed: the loop may be forgotten, and another one be made when there is. */
  idle(loop: ObservationLoop): void;
}

/**
 * Turns any number of hints into observations: at most one under way, and after it exactly one more when hints came
 * meanwhile. Belongs to one generation of the link and dies with it.
 */
export class ObservationLoop {
  readonly generation: number;
  readonly #clock: Clock;
  readonly #observer: Observer;
  #requests = 0;
  /** How many marks the observation that was issued last covers; `undefined` while more of the same input may come. */
  #covered: number | undefined = 0;
  #state: 'resting' | 'scheduled' | 'observing' | 'stopped' = 'resting';
  #waiting: { readonly request: number; readonly resolve: (made: boolean) => void }[] | undefined;

  /** @param generation - of the hints; the loop means nothing in another one */
  constructor(clock: Clock, observer: Observer, generation: number) {
    this.generation = generation;
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

  /** Something may have changed: an observation issued from now on will follow, a turn later, when more may have been marked. */
  request(): void {
    this.#cover();
    this.#requests += 1;
    if (this.#state === 'resting') this.#schedule();
  }

  /**
   * As {@link ObservationLoop.request}, for input that was received: without waiting for a turn. What comes in the same piece of input was
   * received before the observation was sent, so that it is covered too: one write sends several messages, which arrive together.
   */
  requestNow(): void {
    this.#requests += 1;
    if (this.#state !== 'resting') return;
    // Microtasks run when a piece of input has been worked off, before the next one is read; this one before those of the observation.
    void Promise.resolve().then(() => {
      this.#cover();
    });
    this.#issue();
  }

  /** Resolves with `true` when an observation issued from now on has been made, with `false` when this loop will make none. */
  settled(): Promise<boolean> {
    if (this.isStopped()) return Promise.resolve(false);
    this.request();
    return new Promise((resolve) => {
      (this.#waiting ??= []).push({ request: this.#requests, resolve });
    });
  }

  stop(): void {
    this.#state = 'stopped';
    this.#release(Infinity, false);
  }

  #schedule(): void {
    this.#state = 'scheduled';
    this.#clock.nextTurn(() => {
      if (this.#state !== 'scheduled') return;
      this.#issue();
      this.#cover();
    });
  }

  #issue(): void {
    this.#state = 'observing';
    this.#covered = undefined;
    void this.#observer.observe(this).then(() => {
      this.#ended();
    });
  }

  /** What is marked from now on is not covered by the observation that was issued last. */
  #cover(): void {
    if (this.#covered !== undefined) return;
    this.#covered = this.#requests;
    if (!this.isStopped()) this.#observer.coveredBy();
  }

  #ended(): void {
    if (this.isStopped()) return;
    const covered = this.#covered ?? this.#requests;
    this.#state = 'resting';
    this.#release(covered, true);
    if (this.#requests > covered) this.#schedule();
    else this.#observer.idle(this);
  }

  #release(upTo: number, made: boolean): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const later = waiting.filter((one) => one.request > upTo);
    this.#waiting = later.length > 0 ? later : undefined;
    for (const one of waiting) if (one.request <= upTo) one.resolve(made);
  }
}
