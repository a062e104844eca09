import type { Entry } from './entry/entry.js';

/** Goes through all entries one by one, again and again; entries may come and go meanwhile. */
export class EntryRotation<T> {
  readonly #all: () => Iterator<Entry<T>>;
  #round: Iterator<Entry<T>> | undefined;

  constructor(all: () => Iterator<Entry<T>>) {
    this.#all = all;
  }

  /** The next entry; `undefined` when there is none at all. */
  next(): Entry<T> | undefined {
    let next = this.#round?.next();
    if (next === undefined || next.done) {
      this.#round = this.#all();
      next = this.#round.next();
    }
    return next.done ? undefined : next.value;
  }

  restart(): void {
    this.#round = undefined;
  }
}
