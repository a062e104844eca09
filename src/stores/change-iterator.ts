import type { Observable, Subscription } from 'rxjs';
import { createChange, type CredentialChange } from '../credential/change.js';

/** The number of changes that wait for a slow consumer before the oldest ones are merged. */
export const ITERATOR_BUFFER = 1024;

type Result<T> = IteratorResult<CredentialChange<T>, undefined>;

/** Iterates over a stream of changes; the buffer is bounded, and the latest change of a credential is never lost. */
export class ChangeIterator<T> implements AsyncIterableIterator<CredentialChange<T>> {
  readonly #subscription: Subscription;
  readonly #buffer: CredentialChange<T>[] = [];
  readonly #limit: number;
  #waiting: ((result: Result<T>) => void)[] = [];
  #done = false;

  constructor(changes$: Observable<CredentialChange<T>>, limit: number = ITERATOR_BUFFER) {
    this.#limit = limit;
    this.#subscription = changes$.subscribe({
      next: (change) => {
        this.#take(change);
      },
      complete: () => {
        this.#end();
      },
    });
  }

  next(): Promise<Result<T>> {
    const change = this.#buffer.shift();
    if (change !== undefined) return Promise.resolve({ done: false, value: change });
    if (this.#done) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  return(): Promise<Result<T>> {
    this.#subscription.unsubscribe();
    this.#buffer.length = 0;
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(change: CredentialChange<T>): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: change });
      return;
    }
    this.#buffer.push(change);
    if (this.#buffer.length > this.#limit) this.#merge();
  }

  /** Drops the oldest change that a later change of the same credential supersedes; the later one takes over its `previous`. */
  #merge(): void {
    for (const [index, old] of this.#buffer.entries()) {
      const laterIndex = this.#buffer.findIndex((one, at) => at > index && one.id === old.id);
      const later = this.#buffer[laterIndex];
      if (later === undefined) continue;
      this.#buffer[laterIndex] = createChange<T>({ ...later, previous: old.previous });
      this.#buffer.splice(index, 1);
      return;
    }
    // Every change is of another credential: no merge without a loss, and the number of credentials is the bound.
  }

  #end(): void {
    this.#done = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve({ done: true, value: undefined });
  }
}
