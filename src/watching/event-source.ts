import { Observable, Subject, type Subscriber } from 'rxjs';
import type { AttemptHint } from '../backend/backend.js';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialState } from '../credential/state.js';
import { RefCounted } from '../util/ref-counted.js';
import type { StoreStatus } from '../credential/status.js';

/** Something to tell the outside. */
export type WatchEvent<T> =
  | { readonly type: 'state'; readonly state: CredentialState<T> }
  | { readonly type: 'change'; readonly change: CredentialChange<T> }
  | { readonly type: 'status'; readonly status: StoreStatus }
  | AttemptHint;

/** The telling of facts to those who listen now. */
class OrderedEvents<T> {
  readonly #listeners$ = new Subject<WatchEvent<T>>();
  #queue: WatchEvent<T>[] | undefined;
  #completed = false;
  #after: (() => void)[] | undefined;

  /** Whether one is being told. */
  get busy(): boolean {
    return this.#queue !== undefined;
  }

  /** Whether nobody listens and nothing waits to be told. */
  get idle(): boolean {
    return !this.busy && !this.#listeners$.observed;
  }

  addTo(subscriber: Subscriber<WatchEvent<T>>): void {
    this.#listeners$.subscribe(subscriber);
  }

  emit(fact: WatchEvent<T>): void {
    if (this.#queue !== undefined) {
      this.#queue.push(fact);
      return;
    }
    this.#queue = [fact];
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#listeners$.next(next);
    }
    this.#queue = undefined;
    const after = this.#after ?? [];
    this.#after = undefined;
    for (const run of after) run();
    if (this.#completed) this.complete();
  }

  /** Calls `run` when everybody has heard what is being told. */
  afterEmit(run: () => void): void {
    (this.#after ??= []).push(run);
  }

  /** After what is being told. */
  complete(): void {
    this.#completed = true;
    if (!this.busy) this.#listeners$.complete();
  }
}

/**
 * Tells facts to whoever listens; those caused while one is being told wait their turn, so that everybody sees the same order. Most
 * credentials are only read from memory; they do not carry what tells nobody.
 */
export abstract class EventEmitterBase<T> extends RefCounted {
  #events: OrderedEvents<T> | undefined;

  /** What happens, in order; completes on `close()`. */
  get events$(): Observable<WatchEvent<T>> {
    return new Observable((subscriber) => {
      if (this.closed && this.#events?.busy !== true) {
        subscriber.complete();
        return;
      }
      (this.#events ??= new OrderedEvents()).addTo(subscriber);
      subscriber.add(() => {
        if (this.#events?.idle) this.#events = undefined;
      });
    });
  }

  /** Calls `run` when everybody has heard what is being told now. */
  afterEmit(run: () => void): void {
    if (this.#events?.busy) this.#events.afterEmit(run);
    else run();
  }

  override close(): void {
    super.close();
    this.#events?.complete();
  }

  protected emit(fact: WatchEvent<T>): void {
    this.#events?.emit(fact);
    if (this.#events?.idle) this.#events = undefined;
  }
}
