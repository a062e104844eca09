import { Subscription } from 'rxjs';
import type { Backend } from '../../backend/backend.js';
import type { CredentialChange } from '../../credential/change.js';
import { isSameCredential, type CredentialSnapshot } from '../../credential/snapshot.js';
import type { CredentialState } from '../../credential/state.js';
import type { ObservableCredentialStore } from '../../stores/observable-credential-store.js';
import type { ResolvedInvalidateOptions } from './options.js';
import { Removals, type Remover } from './removals.js';

/**
 * Removes the entries of a cache whenever they may be untrue; made by `invalidate`.
 *
 * @public
 */
export interface Invalidation extends Disposable {
  /**
   * Starts a check of one entry; call `guard` before you read the credential that the entry is made from. The returned function says
   * whether the entry may be kept: the store still vouches for the same credential, and nothing was invalidated meanwhile.
   *
   * @example
   * ```ts
   * import type { Invalidation } from 'credstream';
   *
   * async function cached(answers: Map<string, string>, kept: Invalidation, ask: () => Promise<string>): Promise<string> {
   *   const stillTrue = kept.guard();
   *   const answer = await ask();
   *   if (stillTrue()) answers.set('answer', answer);
   *   return answer;
   * }
   * ```
   */
  guard(): () => boolean;

  /** Stops the watch and the removals, also those that are due again after a failure. Entries stay as they are. Idempotent. */
  close(): void;
}

/** Follows a store, and removes the entries made from its credential whenever they may be untrue. */
export class CacheInvalidation<T> implements Invalidation {
  readonly #store: ObservableCredentialStore<T>;
  readonly #onRenewed: boolean;
  readonly #removals: Removals;
  readonly #subscription = new Subscription();
  /** The credential that entries may have been made from; kept while the credential is withheld. */
  #held: CredentialSnapshot<T> | undefined;
  #fresh = false;
  /** Grows with every event that makes entries untrue. */
  #generation = 0;
  #closed = false;

  constructor(
    store: ObservableCredentialStore<T>,
    remover: Remover,
    options: ResolvedInvalidateOptions,
    { clock, random }: Pick<Backend, 'clock' | 'random'>,
  ) {
    this.#store = store;
    this.#onRenewed = options.onRenewed;
    this.#removals = new Removals(remover, { ...options, clock, random });
    this.#fresh = store.status.freshness === 'fresh';
    this.#held = store.current;
    // The entries in the cache may be older than the watch.
    this.#invalidate();
    const streams = [
      store.status$.subscribe({
        next: ({ freshness }) => {
          this.#takeFreshness(freshness === 'fresh');
        },
      }),
      store.state$.subscribe({
        next: (state) => {
          this.#takeState(state);
        },
        complete: () => {
          this.#end();
        },
      }),
      store.changes$.subscribe({
        next: (change) => {
          this.#takeChange(change);
        },
      }),
    ];
    for (const stream of streams) this.#subscription.add(stream);
  }

  guard(): () => boolean {
    const generation = this.#generation;
    const before = this.#store.current;
    const state = this.#store.state;
    // An entry would be made from a credential that this store cannot vouch for.
    const doubtful =
      before === undefined && ['unknown', 'withheld', 'present'].includes(state.type);
    return () => {
      if (doubtful || this.#closed || generation !== this.#generation) return false;
      const now = this.#store.current;
      if (before === undefined) return now === undefined && this.#store.state === state;
      return now !== undefined && isSameCredential(before, now);
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
    // Other bytes may have come and gone during the gap, and entries may have been made from them.
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
        if (before === undefined || !isSameCredential(before, state.snapshot)) this.#invalidate();
        break;
      }
      default:
        this.#held = undefined;
        this.#invalidate();
    }
  }

  /** Only two changes come without a new state: bytes that decode to the same credentials, and a new end. */
  #takeChange(change: CredentialChange<T>): void {
    const renewed = change.type === 'renewed' && this.#onRenewed;
    const rewritten =
      change.type === 'saved' &&
      change.previous !== undefined &&
      isSameCredential(change.previous, change.snapshot);
    if (renewed || rewritten) this.#invalidate();
  }

  #invalidate(): void {
    this.#generation += 1;
    this.#removals.request();
  }

  /** The store was closed, and no later change can make entries untrue. */
  #end(): void {
    if (this.#closed) return;
    this.#invalidate();
    this.close();
  }
}
