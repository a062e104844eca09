import { Subscription } from 'rxjs';
import { withdraws } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type { WatchEvent } from '../watching/event-source.js';
import type { StoreInternals } from '../stores/internals.js';
import type { WatchedEntry } from '../watching/watched.js';

/** The derived value that a watcher reports to. */
export interface WatcherOwner<T> {
  /** The store vouches for this credential, which is not withdrawn. */
  held(snapshot: CredentialSnapshot<T>): void;
  /** The credential is withdrawn, or there is none. */
  dropped(): void;
  /** The credential is withheld or not known yet. A withheld one comes back when the store vouches for it again. */
  withheld(): void;
  /** The store has another status. After a gap it vouches again for the credential of its last state, without a new state. */
  statusChanged(): void;
  /** The store closes, and waits for the end of the derived value. */
  close(): Promise<void>;
}

/** Watches the credential of one store from the first use on, and reports which credential values may be built from. */
export class CredentialWatcher<T> {
  readonly #live: WatchedEntry<T>;
  readonly #owner: WatcherOwner<T>;
  readonly #forget: () => void;
  #subscription: Subscription | undefined;
  /** The signal of the credential in the last state. */
  #withdrawal: AbortSignal | undefined;
  readonly #withdrawn = (): void => {
    this.#owner.dropped();
  };

  /** @throws ClosedError when the store is closed */
  constructor(
    { live, closeFirst }: Pick<StoreInternals<T>, 'live' | 'closeFirst'>,
    owner: WatcherOwner<T>,
  ) {
    this.#live = live;
    this.#owner = owner;
    this.#forget = closeFirst(() => owner.close());
  }

  /** The second call has no effect. */
  start(): void {
    if (this.#subscription !== undefined) return;
    const subscription = (this.#subscription = new Subscription());
    subscription.add(this.#live.retain());
    // The subscription comes before the state: a change that is being delivered at the moment may be older than the state.
    subscription.add(
      this.#live.events$.subscribe({
        next: (event) => {
          this.#take(event);
        },
        complete: () => {
          void this.#owner.close();
        },
      }),
    );
    if (!subscription.closed) this.#takeState(this.#live.state);
  }

  stop(): void {
    this.#subscription?.unsubscribe();
    this.#withdrawal?.removeEventListener('abort', this.#withdrawn);
  }

  /** The store need not wait any longer: the derived value has ended. */
  forget(): void {
    this.#forget();
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'status') this.#owner.statusChanged();
    if (event.type !== 'state') return;
    const { state, change } = event;
    if (state !== undefined) this.#takeState(state);
    // The state of a credential that ends while it is withheld does not change.
    if (change !== undefined && withdraws(change, false)) this.#owner.dropped();
  }

  #takeState(state: CredentialState<T>): void {
    switch (state.type) {
      case 'unknown':
      case 'withheld':
        this.#owner.withheld();
        break;
      case 'present':
        this.#follow(state.snapshot);
        break;
      default:
        this.#owner.dropped();
    }
  }

  #follow(snapshot: CredentialSnapshot<T>): void {
    const { signal } = snapshot;
    if (signal !== this.#withdrawal) {
      this.#withdrawal?.removeEventListener('abort', this.#withdrawn);
      this.#withdrawal = signal;
      // A rejection is no new state: the rejected credential is still stored.
      signal.addEventListener('abort', this.#withdrawn);
    }
    if (signal.aborted) this.#owner.dropped();
    else this.#owner.held(snapshot);
  }
}
