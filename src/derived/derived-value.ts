import { closeOnce } from '../util/close-once.js';
import { inRootContext } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import { map, Observable, Subscription } from 'rxjs';
import { withdraws } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type { ObservableCredentialStore } from '../stores/store-base.js';
import { ClosedError, InvalidOptionError, TimeoutError } from '../errors.js';
import { describeType } from '../util/option-checks.js';
import { checkOptions } from '../util/options.js';
import { WAIT_OPTIONS } from './options.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { inSubscriberContext } from '../util/subscriber-context.js';
import { setLongTimeout, abortable, withDeadline } from '../time/timers.js';
import type { WatchedEntry } from '../watching/watched.js';
import type { BuiltValue } from './built-value.js';
import type { ResolvedDeriveOptions } from './options.js';
import type { Derived, DerivedWaitOptions } from './derived.js';
import { sameDerivedState, type DerivedState } from './state.js';
import { Rotation } from './rotation.js';
import type { BuildContext } from './value-builder.js';

/** Follows a store, builds values from its credential and decides which of them may be served. */
export class DerivedValue<T, V> implements Derived<V> {
  readonly value$: Observable<V | undefined>;
  readonly state$: Observable<DerivedState>;
  readonly #store: ObservableCredentialStore<T>;
  readonly #options: ResolvedDeriveOptions<V>;
  readonly #clock: Clock;
  readonly #rotation: Rotation<T, V>;
  readonly #values = new OrderedSubject<BuiltValue<V> | undefined>({ value: undefined });
  readonly #states = new OrderedSubject<DerivedState>({
    value: { type: 'idle', waitingFor: 'use' },
  });
  readonly #waiters = new Set<() => void>();
  /** The built values that are not disposed of yet. */
  readonly #undisposed = new Set<BuiltValue<V>>();
  #subscription: Subscription | undefined;
  #used = false;
  /** The signal of the credential in the last state. */
  #withdrawal: AbortSignal | undefined;
  readonly #withdrawn = (): void => {
    this.#drop();
  };
  #lastValue: BuiltValue<V> | undefined;
  #lastState: DerivedState = { type: 'idle', waitingFor: 'use' };
  #cancelTimer: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(
    store: ObservableCredentialStore<T>,
    live: WatchedEntry<T>,
    context: BuildContext<T, V>,
  ) {
    this.#store = store;
    this.#options = context.options;
    this.#clock = context.clock;
    this.#rotation = new Rotation(live, {
      ...context,
      add: (built) => {
        this.#undisposed.add(built);
        void built.disposed.then(() => this.#undisposed.delete(built));
      },
      progressed: () => {
        this.#review();
      },
    });
    const value$ = new Observable<V | undefined>((subscriber) => {
      this.#begin();
      return this.#values
        .asObservable()
        .pipe(map((built) => built?.handOut()))
        .subscribe(subscriber);
    });
    const state$ = new Observable<DerivedState>((subscriber) => {
      this.#watch();
      this.#states.subscribe(subscriber);
    });
    this.value$ = inSubscriberContext(value$);
    this.state$ = inSubscriberContext(state$);
    if (context.options.eager) {
      this.#used = true;
      // `create` may want to call the object that this constructor returns.
      inRootContext(() => {
        queueMicrotask(() => {
          this.#begin();
        });
      });
    }
  }

  get current(): V | undefined {
    return this.#served()?.handOut();
  }

  get state(): DerivedState {
    const state = this.#judge();
    return sameDerivedState(state, this.#lastState) ? this.#lastState : state;
  }

  async get(options: DerivedWaitOptions = {}): Promise<V> {
    return (await this.#obtain(options, (built) => ({ value: built.handOut() }))).value;
  }

  async use<R>(fn: (value: V) => R | PromiseLike<R>, options: DerivedWaitOptions = {}): Promise<R> {
    if (typeof fn !== 'function') {
      throw new InvalidOptionError('fn', `must be a function, not ${describeType(fn)}`);
    }
    const { value, release } = await this.#obtain(options, (built) => ({
      value: built.value,
      release: built.keep(),
    }));
    try {
      return await fn(value);
    } finally {
      release();
    }
  }

  close(): Promise<void> {
    return (
      this.#closing ??
      closeOnce(
        () => this.#close(),
        (closing) => {
          this.#closing = closing;
        },
      )
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Waits until a value may be served, and takes it in the same step. */
  async #obtain<R>(options: DerivedWaitOptions, take: (built: BuiltValue<V>) => R): Promise<R> {
    checkOptions(WAIT_OPTIONS, options);
    const { signal, timeoutMs = this.#options.getTimeoutMs } = options;
    const clock = this.#clock;
    const startedAt = clock.monotonic();
    const late = (): Error =>
      new TimeoutError('get() or use(): no value was built', timeoutMs, this.#store.status.error);
    for (;;) {
      if (this.#closing === undefined) this.#begin();
      if (this.#closing !== undefined) throw new ClosedError('the derived value');
      signal?.throwIfAborted();
      const built = this.#served();
      if (built !== undefined) return take(built);
      let wake: () => void = () => undefined;
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      this.#waiters.add(wake);
      const leftMs = Math.max(0, timeoutMs - (clock.monotonic() - startedAt));
      try {
        await abortable(withDeadline(clock, woken, leftMs, late), signal);
      } finally {
        this.#waiters.delete(wake);
        // Cancels the deadline when the signal ended the wait.
        wake();
      }
    }
  }

  #begin(): void {
    this.#used = true;
    this.#watch();
    if (this.#served() === undefined) this.#review();
  }

  #watch(): void {
    // The watch outlives the call that was the first to need it.
    if (this.#subscription === undefined && this.#closing === undefined)
      inRootContext(() => {
        this.#subscribe();
      });
  }

  #subscribe(): void {
    const subscription = (this.#subscription = new Subscription());
    const changes = this.#store.changes$.subscribe((change) => {
      // The state of a credential that ends while it is withheld does not change.
      if (withdraws(change, false)) this.#drop();
    });
    subscription.add(changes);
    const statuses = this.#store.status$.subscribe(() => {
      // After a gap the store vouches again for the credential of its last state, without a new state.
      if (this.#rotation.progress !== undefined) this.#review();
    });
    subscription.add(statuses);
    const states = this.#store.state$.subscribe({
      next: (state) => {
        this.#take(state);
      },
      complete: () => void this.close(),
    });
    subscription.add(states);
  }

  #take(state: CredentialState<T>): void {
    if (this.#closing !== undefined) return;
    switch (state.type) {
      case 'unknown':
      case 'withheld':
        // The credential is not withdrawn: it comes back when the store vouches for it again.
        break;
      case 'present':
        this.#follow(state.snapshot);
        break;
      default:
        this.#drop();
    }
    this.#review();
  }

  #follow(snapshot: CredentialSnapshot<T>): void {
    const { signal } = snapshot;
    if (signal !== this.#withdrawal) {
      this.#withdrawal?.removeEventListener('abort', this.#withdrawn);
      this.#withdrawal = signal;
      // A rejection is no new state: the rejected credential is still stored.
      signal.addEventListener('abort', this.#withdrawn);
    }
    if (signal.aborted) this.#drop();
    else this.#rotation.hold(snapshot);
  }

  #drop(): void {
    if (this.#closing !== undefined) return;
    void this.#rotation.drop();
    this.#review();
  }

  /** Calls `create` if it is due, and emits the value and the state if they have changed. */
  #review(): void {
    if (this.#closing !== undefined) return;
    if (this.#used) this.#rotation.start();
    this.#rotation.settle();
    // `create` and `dispose` may have closed this object.
    if (!this.#isClosing()) this.#emit();
  }

  #emit(): void {
    this.#setTimer();
    const served = this.#served();
    if (served !== this.#lastValue) {
      this.#lastValue = served;
      this.#values.emit(served);
    }
    const state = this.state;
    if (state !== this.#lastState) {
      this.#lastState = state;
      this.#states.emit(state);
    }
    if (this.#served() !== undefined) for (const wake of this.#waiters) wake();
  }

  #served(): BuiltValue<V> | undefined {
    return this.#closing === undefined ? this.#rotation.served : undefined;
  }

  #judge(): DerivedState {
    if (this.#closing !== undefined) return { type: 'closed' };
    if (!this.#used) return { type: 'idle', waitingFor: 'use' };
    const { progress } = this.#rotation;
    if (progress === undefined || progress.type === 'pending') {
      return { type: 'idle', waitingFor: 'credential' };
    }
    if (progress.type === 'ready') return progress;
    return { ...progress, servesPrevious: this.#served() !== undefined };
  }

  #setTimer(): void {
    this.#cancelTimer();
    this.#cancelTimer = setLongTimeout(this.#clock, this.#rotation.previousEndsInMs, () => {
      this.#review();
    });
  }

  #isClosing(): boolean {
    return this.#closing !== undefined;
  }

  async #close(): Promise<void> {
    this.#subscription?.unsubscribe();
    this.#withdrawal?.removeEventListener('abort', this.#withdrawn);
    this.#cancelTimer();
    if (this.#lastValue !== undefined) this.#values.emit(undefined);
    this.#values.complete();
    this.#states.emit({ type: 'closed' });
    this.#states.complete();
    for (const wake of this.#waiters) wake();
    for (const built of this.#undisposed) built.finish();
    const dropped = this.#rotation.drop(new ClosedError('the derived value'));
    const { closeTimeoutMs } = this.#options;
    const late = (): Error => new TimeoutError('close(): values are still in use', closeTimeoutMs);
    const disposed = dropped.then(() =>
      Promise.all([...this.#undisposed].map((built) => built.disposed)),
    );
    await withDeadline(this.#clock, disposed, closeTimeoutMs, late).catch(() => undefined);
    for (const built of this.#undisposed) built.end();
  }
}
