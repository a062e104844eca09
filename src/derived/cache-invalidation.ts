import { Subscription } from 'rxjs';
import type { CredentialChange } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type { ObservableCredentialStore } from '../stores/store-base.js';
import type { ResolvedInvalidateOptions } from './invalidate-options.js';
import type { Invalidation } from './invalidation.js';
import { Removals, type Remover } from './removals.js';
import { sameCredential } from './same-credential.js';

/** Follows a store, and says when entries made from its credential have to go. */
export class CacheInvalidation<T> implements Invalidation {
  readonly #store: ObservableCredentialStore<T>;
  readonly #onRenewed: boolean;
  readonly #removals: Removals;
  readonly #subscription = new Subscription();
  /** The credential that entries may have been made from; stays while it is withheld. */
  #held: CredentialSnapshot<T> | undefined;
  #fresh = false;
  /** Goes up with everything that makes entries untrue. */
  #version = 0;
  #closed = false;

  constructor(
    store: ObservableCredentialStore<T>,
    remover: Remover,
    options: ResolvedInvalidateOptions,
  ) {
    this.#store = store;
    this.#onRenewed = options.onRenewed;
    this.#removals = new Removals(remover, options);
    this.#fresh = store.status.freshness === 'fresh';
    this.#held = store.current;
    // Whatever is there may be older than the watch.
    this.#invalidate();
    const end = (): void => {
      this.#end();
    };
    const streams = [
      store.status$.subscribe({
        next: ({ freshness }) => {
          this.#takeFreshness(freshness === 'fresh');
        },
        error: end,
      }),
      store.state$.subscribe({
        next: (state) => {
          this.#takeState(state);
        },
        error: end,
        complete: end,
      }),
      store.changes$.subscribe({
        next: (change) => {
          this.#takeChange(change);
        },
        error: end,
      }),
    ];
    for (const stream of streams) this.#subscription.add(stream);
  }

  guard(): () => boolean {
    const version = this.#version;
    const before = this.#store.current;
    const state = this.#store.state;
    // Nobody knows what an entry would be made from.
    const doubtful =
      before === undefined && ['unknown', 'withheld', 'present'].includes(state.type);
    return () => {
      if (doubtful || this.#closed || version !== this.#version) return false;
      const now = this.#store.current;
      if (before === undefined) return now === undefined && this.#store.state === state;
      return now !== undefined && sameCredential(before, now);
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscription.unsubscribe();
    this.#removals.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #takeFreshness(fresh: boolean): void {
    // Caught up after a gap: bytes may have come and gone in it, and entries been made from them.
    if (fresh && !this.#fresh) this.#invalidate();
    this.#fresh = fresh;
  }

  #takeState(state: CredentialState<T>): void {
    switch (state.type) {
      case 'unknown':
        break;
      case 'withheld':
        this.#invalidate();
        break;
      case 'present': {
        const before = this.#held;
        this.#held = state.snapshot;
        if (before === undefined || !sameCredential(before, state.snapshot)) this.#invalidate();
        break;
      }
      default:
        this.#held = undefined;
        this.#invalidate();
    }
  }

  /** The state came first, and has said it all but for bytes that mean the same, and a new end. */
  #takeChange(change: CredentialChange<T>): void {
    const renewed = change.type === 'renewed' && this.#onRenewed;
    const rewritten =
      change.type === 'saved' &&
      change.previous !== undefined &&
      sameCredential(change.previous, change.snapshot);
    if (renewed || rewritten) this.#invalidate();
  }

  #invalidate(): void {
    this.#version += 1;
    this.#removals.request();
  }

  /** The store was closed: nobody will say when entries are no longer true. */
  #end(): void {
    if (this.#closed) return;
    this.#invalidate();
    this.close();
  }
}
