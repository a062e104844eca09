import type { Clock } from '../time/clock.js';
import type { Observation, Subscription } from '../backend/backend.js';
import { ClosedError } from '../errors.js';

/** The number of keys in one call; a longer call would only hold up the server's other clients. */
const BATCH = 100;
/** The number of calls under way: enough to keep the server busy while replies travel. */
const CALLS = 4;
/** The number of readings that may wait; a caller with more waits for room. */
const ROOM = BATCH * CALLS * 2;

interface Waiting {
  readonly key: string;
  readonly resolve: (observation: Observation) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads many keys in few calls: a single key is read at once, and the keys that come meanwhile are read together. The number of calls under way
 * is bounded.
 */
export class ReadBatcher {
  readonly #subscription: () => Subscription | undefined;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  #waiting: Waiting[] = [];
  /** The index of the first waiting key. */
  #first = 0;
  #calls = 0;
  #alone = 0;
  #scheduled = false;
  #waiters: (() => void)[] = [];

  /** @param subscription - the subscription of now, to all keys that are read */
  constructor(subscription: () => Subscription | undefined, clock: Clock, maxBytes: number) {
    this.#subscription = subscription;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  read(key: string): Promise<Observation> {
    if (this.#subscription()?.readMany === undefined || (this.#calls === 0 && this.#alone === 0))
      return this.#readAlone(key);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when there is room for more; `undefined` when there is room now. */
  capacity(): Promise<void> | undefined {
    if (this.#load < ROOM) return undefined;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  get #load(): number {
    return this.#waiting.length - this.#first + this.#alone;
  }

  #readAlone(key: string): Promise<Observation> {
    const subscription = this.#subscription();
    if (subscription === undefined) return Promise.reject(new ClosedError());
    this.#alone += 1;
    return subscription.read(key, this.#maxBytes).finally(() => {
      this.#alone -= 1;
      this.#goOn();
    });
  }

  /** Sends the batch one turn later, together with further keys of this turn. */
  #schedule(): void {
    if (this.#scheduled || this.#calls >= CALLS) return;
    this.#scheduled = true;
    this.#clock.nextTurn(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    while (this.#calls < CALLS && this.#first < this.#waiting.length) {
      const batch = this.#waiting.slice(this.#first, this.#first + BATCH);
      this.#first += batch.length;
      if (this.#first === this.#waiting.length) {
        this.#waiting = [];
        this.#first = 0;
      } else if (this.#first > ROOM) {
        this.#waiting = this.#waiting.slice(this.#first);
        this.#first = 0;
      }
      this.#calls += 1;
      void this.#readAll(batch);
    }
  }

  async #readAll(batch: readonly Waiting[]): Promise<void> {
    try {
      const keys = batch.map(({ key }) => key);
      const seen = (await this.#subscription()?.readMany?.(keys, this.#maxBytes)) ?? [];
      for (const [index, { key, resolve, reject }] of batch.entries()) {
        const observation = seen[index];
        if (observation === undefined) this.#readAlone(key).then(resolve, reject);
        else resolve(observation);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#calls -= 1;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#first < this.#waiting.length) this.#schedule();
    if (this.#waiters.length === 0 || this.#load >= ROOM) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}
