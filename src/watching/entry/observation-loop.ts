import type { Clock } from '../../time/clock.js';
import { setLongTimeout } from '../../time/timers.js';

/** The time before an observation that only hints without any change request. */
const PAUSE_MS = 20;

/** The part that makes the observations of a loop. */
export interface Observer {
  /** Makes one observation and applies it, unless the loop was stopped meanwhile. Sends its command at once, and must not reject. */
  observe(loop: ObservationLoop): Promise<void>;
  /** The observation that was issued last covers all requests so far. */
  coveredBy(): void;
  /** No request is left: the loop may be dropped, and the next request creates another one. */
  idle(loop: ObservationLoop): void;
}

/**
 * Turns any number of hints into observations: at most one under way, and after it exactly one more when hints came meanwhile. A loop belongs
 * to one generation, and ends with it.
 */
export class ObservationLoop {
  readonly generation: number;
  readonly #clock: Clock;
  readonly #observer: Observer;
  #requests = 0;
  /** The number of requests that the last observation covers; `undefined` while more of the same input may come. */
  #covered: number | undefined = 0;
  #state: 'resting' | 'scheduled' | 'pausing' | 'observing' | 'stopped' = 'resting';
  /** A request since the last observation was issued must not wait. */
  #urgent = false;
  #cancelPause: (() => void) | undefined;
  #waiting: { readonly request: number; readonly resolve: (made: boolean) => void }[] | undefined;

  /** @param generation - the generation of the hints; the loop is useless in another one */
  constructor(clock: Clock, observer: Observer, generation: number) {
    this.generation = generation;
    this.#clock = clock;
    this.#observer = observer;
  }

  /** A method, because the result changes during an `await`, which a getter would hide from the type checker. */
  isStopped(): boolean {
    return this.#state === 'stopped';
  }

  get busy(): boolean {
    return this.#state === 'observing';
  }

  /** The key may have changed: an observation follows one turn later, together with further requests of this turn. */
  request(): void {
    this.#cover();
    this.#requests += 1;
    this.#urgent = true;
    if (this.#state === 'resting' || this.#state === 'pausing') this.#schedule();
  }

  /** As {@link ObservationLoop.request}, after a pause: hints came again and again, and nothing had changed. */
  requestLater(): void {
    this.#requests += 1;
    if (this.#state === 'resting') this.#pause();
  }

  /**
   * As {@link ObservationLoop.request}, for received input: without the wait for a turn. The messages of one write arrive together in one piece
   * of input, which was received before the observation was sent: the observation covers all of them.
   */
  requestNow(): void {
    this.#requests += 1;
    this.#urgent = true;
    if (this.#state === 'pausing') this.#schedule();
    if (this.#state !== 'resting') return;
    // Microtasks run after a piece of input, before the next piece is read; this microtask runs before those of the observation.
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
    this.#cancelPause?.();
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

  #pause(): void {
    this.#state = 'pausing';
    this.#cancelPause = setLongTimeout(this.#clock, PAUSE_MS, () => {
      if (this.#state !== 'pausing') return;
      this.#issue();
      this.#cover();
    });
  }

  #issue(): void {
    this.#state = 'observing';
    this.#urgent = false;
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#covered = undefined;
    void this.#observer.observe(this).then(() => {
      this.#ended();
    });
  }

  /** The last observation does not cover requests from now on. */
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
    if (this.#requests > covered && this.#urgent) this.#schedule();
    else if (this.#requests > covered) this.#pause();
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
