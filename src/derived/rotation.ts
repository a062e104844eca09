import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { ObservableCredentialStore } from '../stores/store-base.js';
import type { BuiltValue } from './built-value.js';
import { sameCredential } from './same-credential.js';
import { ServerTimeBound } from './server-time-bound.js';
import { ValueBuilder, type BuildOwner, type BuildProgress } from './value-builder.js';

/** What is built from the credential that a store holds, and what was built from the one before, for as long as it stands in. */
export class Rotation<T, V> {
  readonly #store: ObservableCredentialStore<T>;
  readonly #owner: BuildOwner<T, V>;
  readonly #serverTime: ServerTimeBound;
  /** Stays while the credential is withheld. */
  #builder: ValueBuilder<T, V> | undefined;
  #previous: ValueBuilder<T, V> | undefined;

  constructor(store: ObservableCredentialStore<T>, owner: BuildOwner<T, V>) {
    this.#store = store;
    this.#owner = owner;
    this.#serverTime = new ServerTimeBound(owner.options.clock);
  }

  /** Takes in the instant that a change carries. */
  note(at: number): void {
    this.#serverTime.note(at);
  }

  /**
   * The store holds this credential. Says whether a value stands in for its own from now on; until the change that belongs to the state
   * has been told, it is not clear for how long.
   */
  hold(snapshot: CredentialSnapshot<T>): boolean {
    const before = this.#builder;
    if (before !== undefined && sameCredential(before.snapshot, snapshot)) {
      before.renew(snapshot);
      return false;
    }
    this.#builder = new ValueBuilder(this.#owner, snapshot);
    if (before?.built === undefined) {
      void before?.retire();
      return false;
    }
    const replaced = this.#previous;
    this.#previous = before;
    void replaced?.retire();
    return true;
  }

  /** No credential is left. Resolves when a call of `create` that is under way has been dealt with. */
  async drop(reason?: unknown): Promise<void> {
    const [builder, previous] = [this.#builder, this.#previous];
    // Before anything is disposed of: that may come back to us.
    this.#builder = undefined;
    this.#previous = undefined;
    void previous?.retire();
    await builder?.retire(reason);
  }

  /** Builds what is to be built, unless the store does not vouch for the credential. */
  start(): void {
    if (this.#isCurrent(this.#builder)) this.#builder?.start();
  }

  /** Lets the value before go, when it is replaced or no good any longer. */
  settle(): void {
    const previous = this.#previous;
    if (previous === undefined) return;
    if (this.#builder?.built === undefined && this.#outlasts(previous)) return;
    this.#previous = undefined;
    void previous.retire();
  }

  /** What may be served now. Asks the store each time, because timers, and so its states, can be late. */
  get served(): BuiltValue<V> | undefined {
    if (this.#store.current === undefined) return undefined;
    for (const one of [this.#builder, this.#previous]) {
      if (one?.built !== undefined && (this.#isCurrent(one) || this.#outlasts(one))) {
        return one.built;
      }
    }
    return undefined;
  }

  /** Of the credential that the store holds; `undefined` when there is none that it vouches for. */
  get progress(): BuildProgress | undefined {
    return this.#isCurrent(this.#builder) ? this.#builder?.progress : undefined;
  }

  /** In how many milliseconds the credential before ends at the earliest. */
  get previousEndsInMs(): number {
    const end = this.#previous?.snapshot.expiresAt;
    return end === undefined ? Infinity : Math.max(0, end - this.#serverTime.latest());
  }

  #isCurrent(one: ValueBuilder<T, V> | undefined): boolean {
    const { current } = this.#store;
    return one !== undefined && current !== undefined && sameCredential(one.snapshot, current);
  }

  /** Whether a credential that was replaced is still good. */
  #outlasts({ snapshot: { signal, expiresAt } }: ValueBuilder<T, V>): boolean {
    return !signal.aborted && (expiresAt === undefined || this.#serverTime.latest() < expiresAt);
  }
}
