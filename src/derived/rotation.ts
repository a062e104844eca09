import { isSameCredential, type CredentialSnapshot } from '../credential/snapshot.js';
import { TimeoutError } from '../errors.js';
import { setLongTimeout, withDeadline } from '../time/timers.js';
import type { WatchedEntry } from '../watching/watched.js';
import type { BuiltValue } from './built-value.js';
import {
  ValueBuilder,
  type BuildContext,
  type BuildOwner,
  type BuildProgress,
} from './value-builder.js';

/** The value of a store's credential, and the value of the credential before, which is served until the new value is built. */
export class Rotation<T, V> {
  readonly #live: Pick<WatchedEntry<T>, 'current' | 'serverNow'>;
  readonly #owner: BuildOwner<T, V>;
  /** Kept while the credential is withheld. */
  #builder: ValueBuilder<T, V> | undefined;
  #previous: ValueBuilder<T, V> | undefined;
  /** The built values that are not disposed of yet. */
  readonly #undisposed = new Set<BuiltValue<V>>();
  readonly #previousWithdrawn: () => void;
  #cancelTimer: () => void = () => undefined;

  /** @param progressed - called when a build has progressed, or the credential before has been withdrawn */
  constructor(
    live: Pick<WatchedEntry<T>, 'current' | 'serverNow'>,
    context: BuildContext<T, V>,
    progressed: () => void,
  ) {
    this.#live = live;
    this.#previousWithdrawn = progressed;
    const add = (built: BuiltValue<V>): void => {
      this.#undisposed.add(built);
      void built.disposed.then(() => this.#undisposed.delete(built));
    };
    this.#owner = { ...context, add, progressed };
  }

  /** The store has this credential. Its value replaces the value of another credential as soon as it is built. */
  hold(snapshot: CredentialSnapshot<T>): void {
    const before = this.#builder;
    if (before !== undefined && isSameCredential(before.snapshot, snapshot)) {
      before.renew(snapshot);
      return;
    }
    this.#builder = new ValueBuilder(this.#owner, snapshot);
    if (before?.built === undefined) {
      void before?.retire();
      return;
    }
    const replaced = this.#previous;
    this.#setPrevious(before);
    void replaced?.retire();
  }

  /** The store has no credential. Resolves when a call of `create` that is under way has settled. */
  async drop(reason?: unknown): Promise<void> {
    const [builder, previous] = [this.#builder, this.#previous];
    // Set before anything is disposed of: `dispose` may call back.
    this.#builder = undefined;
    this.#setPrevious(undefined);
    void previous?.retire();
    await builder?.retire(reason);
  }

  /** Drops the credential, lets running uses end, at most for `timeoutMs`, and disposes of every value. Never rejects. */
  async close(reason: Error, timeoutMs: number): Promise<void> {
    for (const built of this.#undisposed) built.finish();
    const dropped = this.drop(reason);
    const late = (): Error => new TimeoutError('close(): values are still in use', timeoutMs);
    // A late value of a `create` under way comes before `dropped` resolves.
    const disposed = dropped.then(() =>
      Promise.all([...this.#undisposed].map((built) => built.disposed)),
    );
    await withDeadline(this.#owner.clock, disposed, timeoutMs, late).catch(() => undefined);
    for (const built of this.#undisposed) built.end();
  }

  /** Calls `create` if it is due, unless the store does not vouch for the credential. */
  start(): void {
    if (this.#isCurrent(this.#builder)) this.#builder?.start();
  }

  /** Retires the value of the credential before, when it is replaced or its credential is no longer valid; until then sets a timer for its end. */
  settle(): void {
    const previous = this.#previous;
    if (previous === undefined) return;
    if (this.#builder?.built === undefined && this.#isValid(previous)) {
      this.#setTimer(previous.snapshot.expiresAt);
      return;
    }
    this.#setPrevious(undefined);
    void previous.retire();
  }

  /** The value that may be served now. Reads the store each time, because timers, and with them states, can be late. */
  get served(): BuiltValue<V> | undefined {
    if (this.#live.current === undefined) return undefined;
    for (const one of [this.#builder, this.#previous]) {
      if (one?.built !== undefined && (this.#isCurrent(one) || this.#isValid(one))) {
        return one.built;
      }
    }
    return undefined;
  }

  /** The progress for the credential of the store; `undefined` when the store vouches for none, or for one that no state has shown yet. */
  get progress(): BuildProgress | undefined {
    return this.#isCurrent(this.#builder) ? this.#builder?.progress : undefined;
  }

  #setTimer(end: number | undefined): void {
    this.#cancelTimer();
    if (end === undefined) return;
    const endsInMs = Math.max(0, end - this.#live.serverNow());
    this.#cancelTimer = setLongTimeout(this.#owner.clock, endsInMs, () => {
      this.#owner.progressed();
    });
  }

  #setPrevious(builder: ValueBuilder<T, V> | undefined): void {
    this.#cancelTimer();
    this.#previous?.snapshot.signal.removeEventListener('abort', this.#previousWithdrawn);
    this.#previous = builder;
    builder?.snapshot.signal.addEventListener('abort', this.#previousWithdrawn);
  }

  #isCurrent(one: ValueBuilder<T, V> | undefined): boolean {
    const { current } = this.#live;
    return one !== undefined && current !== undefined && isSameCredential(one.snapshot, current);
  }

  /** Whether a credential that was replaced is neither withdrawn nor past its end. */
  #isValid({ snapshot: { signal, expiresAt } }: ValueBuilder<T, V>): boolean {
    return !signal.aborted && (expiresAt === undefined || this.#live.serverNow() < expiresAt);
  }
}
