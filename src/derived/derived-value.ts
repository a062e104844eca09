import { closeOnce } from '../util/close-once.js';
import { map, Observable, Subscription } from 'rxjs';
import { withdraws } from '../credential/change.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { CredentialState } from '../credential/state.js';
import type { ObservableCredentialStore } from '../stores/store-base.js';
import { ClosedError, InvalidOptionError, TimeoutError } from '../errors.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { checkMs, checkNames, checkSignal, describeType } from '../util/option-checks.js';
import { setLongTimeout, abortable, withDeadline } from '../time/timers.js';
import type { BuiltValue } from './built-value.js';
import type { DeriveContext, ResolvedDeriveOptions } from './options.js';
import type { Derived, DerivedWaitOptions } from './derived.js';
import { sameDerivedState, type DerivedState } from './state.js';
import { Rotation } from './rotation.js';

/** How soon to look again at a store that shows a credential but does not give it out: it says nothing when its doubt is over. */
const DOUBT_MS = 1_000;

/** Follows a store, builds values from its credential and decides which of them may be served. */
export class DerivedValue<T, V> implements Derived<V> {
  readonly value$: Observable<V | undefined>;
  readonly state$: Observable<DerivedState>;
  readonly #store: ObservableCredentialStore<T>;
  readonly #options: ResolvedDeriveOptions<V>;
  readonly #rotation: Rotation<T, V>;
  readonly #values = new OrderedSubject<BuiltValue<V> | undefined>({ value: undefined });
  readonly #states = new OrderedSubject<DerivedState>({
    value: { type: 'idle', waitingFor: 'use' },
  });
  readonly #waiters = new Set<() => void>();
  /** What was built and is not disposed of. */
  readonly #undisposed = new Set<BuiltValue<V>>();
  #subscription: Subscription | undefined;
  #used = false;
  /** Whether the state that was told last has a credential. */
  #present = false;
  /** The state with another credential has been told, the change that says when has not. */
  #rotating = false;
  /** Of the credential that was told last. */
  #withdrawal: AbortSignal | undefined;
  readonly #withdrawn = (): void => {
    this.#drop();
  };
  #toldValue: BuiltValue<V> | undefined;
  #toldState: DerivedState = { type: 'idle', waitingFor: 'use' };
  #cancelTimer: () => void = () => undefined;
  #closing: Promise<void> | undefined;

  constructor(
    store: ObservableCredentialStore<T>,
    create: (credentials: T, context: DeriveContext) => V | PromiseLike<V>,
    options: ResolvedDeriveOptions<V>,
  ) {
    this.#store = store;
    this.#options = options;
    this.#rotation = new Rotation(store, {
      options,
      create,
      given: (built) => {
        this.#undisposed.add(built);
        void built.disposed.then(() => this.#undisposed.delete(built));
      },
      progressed: () => {
        this.#review();
      },
    });
    this.value$ = new Observable((subscriber) => {
      this.#begin();
      return this.#values
        .asObservable()
        .pipe(map((built) => built?.handOut()))
        .subscribe(subscriber);
    });
    this.state$ = new Observable((subscriber) => {
      this.#watch();
      this.#states.subscribe(subscriber);
    });
    if (options.eager) {
      this.#used = true;
      // Not before the caller has what `create` may want to call.
      queueMicrotask(() => {
        this.#begin();
      });
    }
  }

  get current(): V | undefined {
    return this.#served()?.handOut();
  }

  get state(): DerivedState {
    const state = this.#judge();
    return sameDerivedState(state, this.#toldState) ? this.#toldState : state;
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

  /** Waits until a value may be served, and takes it in the very step in which that was found out. */
  async #obtain<R>(options: DerivedWaitOptions, take: (built: BuiltValue<V>) => R): Promise<R> {
    checkNames(options, ['signal', 'timeoutMs']);
    const { timeoutMs = this.#options.getTimeoutMs } = options;
    checkMs(timeoutMs, 'timeoutMs', 1, Infinity);
    const signal = checkSignal(options.signal);
    const { clock } = this.#options;
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
        // Lets the deadline go when it was the signal that ended the wait.
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
    if (this.#subscription !== undefined || this.#closing !== undefined) return;
    const subscription = (this.#subscription = new Subscription());
    const close = (): void => void this.close();
    const noted = this.#store.changes$.subscribe({
      next: (change) => {
        this.#rotation.note(change.at);
        // What ends while it is withheld stays so by its state.
        if (withdraws(change, false)) this.#drop();
      },
      error: close,
    });
    subscription.add(noted);
    const states = this.#store.state$.subscribe({
      next: (state) => {
        this.#take(state);
      },
      error: close,
      complete: close,
    });
    subscription.add(states);
  }

  #take(state: CredentialState<T>): void {
    if (this.#closing !== undefined) return;
    this.#present = state.type === 'present';
    switch (state.type) {
      case 'unknown':
      case 'withheld':
        // Not withdrawn: it comes back when it is vouched for again.
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
      // A credential that was rejected is still stored; no state tells of it.
      signal.addEventListener('abort', this.#withdrawn);
    }
    if (signal.aborted) this.#drop();
    else if (this.#rotation.hold(snapshot)) this.#awaitChange();
  }

  #drop(): void {
    if (this.#closing !== undefined) return;
    void this.#rotation.drop();
    this.#review();
  }

  /** The change is told right after the state; only with its instant can the end of the credential before be judged. */
  #awaitChange(): void {
    this.#rotating = true;
    queueMicrotask(() => {
      this.#rotating = false;
      this.#review();
    });
  }

  /** Builds what is to be built, and tells what has changed. */
  #review(): void {
    if (this.#rotating || this.#closing !== undefined) return;
    if (this.#used) this.#rotation.start();
    this.#tell();
  }

  #tell(): void {
    // `create` may have closed us.
    if (this.#rotating || this.#closing !== undefined) return;
    this.#rotation.settle();
    this.#setTimer();
    const served = this.#served();
    if (served !== this.#toldValue) {
      this.#toldValue = served;
      this.#values.emit(served);
    }
    const state = this.state;
    if (state !== this.#toldState) {
      this.#toldState = state;
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
    const doubt = this.#used && this.#present && this.#store.current === undefined;
    const delayMs = Math.min(this.#rotation.previousEndsInMs, doubt ? DOUBT_MS : Infinity);
    this.#cancelTimer = setLongTimeout(this.#options.clock, delayMs, () => {
      this.#review();
    });
  }

  async #close(): Promise<void> {
    this.#subscription?.unsubscribe();
    this.#withdrawal?.removeEventListener('abort', this.#withdrawn);
    this.#cancelTimer();
    if (this.#toldValue !== undefined) this.#values.emit(undefined);
    this.#values.complete();
    this.#states.emit({ type: 'closed' });
    this.#states.complete();
    for (const wake of this.#waiters) wake();
    for (const built of this.#undisposed) built.finish();
    const dropped = this.#rotation.drop(new ClosedError('the derived value'));
    const { clock, closeTimeoutMs } = this.#options;
    const late = (): Error => new TimeoutError('close(): values are still in use', closeTimeoutMs);
    const disposed = dropped.then(() =>
      Promise.all([...this.#undisposed].map((built) => built.disposed)),
    );
    await withDeadline(clock, disposed, closeTimeoutMs, late).catch(() => undefined);
    for (const built of this.#undisposed) built.end();
  }
}
