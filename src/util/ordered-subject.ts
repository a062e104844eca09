import { Observable, Subject, type Subscriber } from 'rxjs';

/**
 * Delivers values to its subscribers in one order for all of them: a value that is emitted while another one is being delivered waits its
 * turn, and so does the completion. With an initial value, a late subscriber begins with the value that was delivered last.
 */
export class OrderedSubject<V> {
  readonly #subject$ = new Subject<V>();
  readonly #replays: boolean;
  /** The value that is being delivered; with an initial value, also the one that was delivered last. */
  #current: { readonly value: V } | undefined;
  /** The values that wait, while one is being delivered. */
  #queue: V[] | undefined;
  #completed = false;
  #afterValue: (() => void)[] | undefined;
  #whenIdle: (() => void)[] | undefined;

  constructor(initial?: { readonly value: V }) {
    this.#replays = initial !== undefined;
    this.#current = initial;
  }

  /** The value that subscribers are receiving at the moment; with an initial value, else the one that they received last. */
  get current(): V | undefined {
    return this.#current?.value;
  }

  /** The value that was emitted last; it may wait to be delivered. */
  get latest(): V | undefined {
    return this.#queue !== undefined && this.#queue.length > 0 ? this.#queue.at(-1) : this.current;
  }

  /** Whether a value is being delivered. */
  get busy(): boolean {
    return this.#queue !== undefined;
  }

  /** Whether this subject has no subscriber and nothing to deliver, so that another one can take its place. */
  get idle(): boolean {
    return !this.busy && !this.#subject$.observed;
  }

  subscribe(subscriber: Subscriber<V>): void {
    const isOver = this.#completed && !this.busy;
    // The subscription comes before the first value, because that value may cause the next one.
    if (!isOver) subscriber.add(this.#subject$.subscribe(subscriber));
    if (this.#replays && this.#current !== undefined) subscriber.next(this.#current.value);
    if (isOver) subscriber.complete();
  }

  asObservable(): Observable<V> {
    return new Observable((subscriber) => {
      this.subscribe(subscriber);
    });
  }

  emit(value: V): void {
    if (this.#queue !== undefined) {
      this.#queue.push(value);
      return;
    }
    const queue = (this.#queue = [value]);
    while (queue.length > 0) {
      const next = queue.shift() as V;
      this.#current = { value: next };
      this.#subject$.next(next);
      if (!this.#replays) this.#current = undefined;
      for (const run of this.#afterValue ?? []) run();
      this.#afterValue = undefined;
    }
    this.#queue = undefined;
    const runs = this.#whenIdle ?? [];
    this.#whenIdle = undefined;
    for (const run of runs) run();
    if (this.#completed) this.complete();
  }

  /** Calls `run` when all subscribers have received the value that is being delivered, before the next one; at once when there is none. */
  afterValue(run: () => void): void {
    if (this.busy) (this.#afterValue ??= []).push(run);
    else run();
  }

  /** Calls `run` when all subscribers have received all values; at once when none is being delivered. */
  whenIdle(run: () => void): void {
    if (this.busy) (this.#whenIdle ??= []).push(run);
    else run();
  }

  /** Completes after the values that wait. */
  complete(): void {
    this.#completed = true;
    if (!this.busy) this.#subject$.complete();
  }
}
