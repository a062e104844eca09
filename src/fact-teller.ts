import { Observable, Subject } from 'rxjs';
import type { AttemptHint } from './credential-backend.js';
import type { CredentialChange } from './credential-change.js';
import type { CredentialState } from './credential-state.js';
import type { StoreStatus } from './store-status.js';

/** Something to tell the outside. */
export type Fact<T> =
  | { readonly type: 'state'; readonly state: CredentialState<T> }
  | { readonly type: 'change'; readonly change: CredentialChange<T> }
  | { readonly type: 'status'; readonly status: StoreStatus }
  | AttemptHint;

/** Tells facts to whoever listens; those caused while one is being told wait their turn, so that everybody sees the same order. */
export class FactTeller<T> {
  #subject$: Subject<Fact<T>> | undefined;
  #queue: Fact<T>[] | undefined;
  #completed = false;

  get facts$(): Observable<Fact<T>> {
    return new Observable((subscriber) => {
      if (this.#completed && this.#queue === undefined) {
        subscriber.complete();
        return;
      }
      const subject$ = (this.#subject$ ??= new Subject());
      subject$.subscribe(subscriber);
      subscriber.add(() => {
        // Most credentials are only read from memory; they need not carry what tells nobody.
        if (!subject$.observed && this.#subject$ === subject$) this.#subject$ = undefined;
      });
    });
  }

  tell(fact: Fact<T>): void {
    if (this.#queue !== undefined) {
      this.#queue.push(fact);
      return;
    }
    this.#queue = [fact];
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#pass(next);
    }
    this.#queue = undefined;
    if (this.#completed) this.complete();
  }

  /** After what is being told. */
  complete(): void {
    this.#completed = true;
    if (this.#queue === undefined) this.#subject$?.complete();
  }

  /** Listeners may leave, and so the subject go, while it tells. */
  #pass(fact: Fact<T>): void {
    this.#subject$?.next(fact);
  }
}
