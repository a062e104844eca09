import { Observable, Subject } from 'rxjs';

/**
 * A value that is told as it changes, and at once to whoever comes late. What is told while something is being told waits its turn, so
 * that everybody sees the same order.
 */
export class ToldValue<V> {
  /** Never errors. */
  readonly stream$: Observable<V>;
  readonly #subject$ = new Subject<V>();
  #value: V;
  #queue: V[] | undefined;
  #completed = false;

  constructor(first: V) {
    this.#value = first;
    this.stream$ = new Observable((subscriber) => {
      const over = this.#completed && this.#queue === undefined;
      // Listening before the first value: what that one makes happen must not be missed.
      if (!over) subscriber.add(this.#subject$.subscribe(subscriber));
      subscriber.next(this.#value);
      if (over) subscriber.complete();
    });
  }

  tell(value: V): void {
    if (this.#queue !== undefined) {
      this.#queue.push(value);
      return;
    }
    const queue = (this.#queue = [value]);
    while (queue.length > 0) {
      this.#value = queue.shift() as V;
      this.#subject$.next(this.#value);
    }
    this.#queue = undefined;
    if (this.#completed) this.#subject$.complete();
  }

  /** After what is being told. */
  complete(): void {
    this.#completed = true;
    if (this.#queue === undefined) this.#subject$.complete();
  }
}
