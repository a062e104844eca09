import { map, Observable } from 'rxjs';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import { ClosedError, InvalidOptionError, TimeoutError } from '../errors.js';
import type { StoreInternals } from '../stores/internals.js';
import { inRootContext } from '../time/async-context.js';
import { abortable, withDeadline } from '../time/timers.js';
import { closeOnce } from '../util/close-once.js';
import { describeType } from '../util/option-checks.js';
import { checkOptions } from '../util/options.js';
import { OrderedSubject } from '../util/ordered-subject.js';
import { inSubscriberContext } from '../util/subscriber-context.js';
import type { WatchedEntry } from '../watching/watched.js';
import type { BuiltValue } from './built-value.js';
import { CredentialWatcher, type WatcherOwner } from './credential-watcher.js';
import type { Derived, DerivedWaitOptions } from './derived.js';
import { WAIT_OPTIONS } from './options.js';
import { Rotation } from './rotation.js';
import { sameDerivedState, type DerivedState } from './state.js';
import type { BuildContext } from './value-builder.js';

const unused: DerivedState = { type: 'idle', waitingFor: 'use' };

/** `unused`: nothing is built yet, whether the store is watched or not. */
type Phase =
  | { readonly type: 'unused' | 'used' }
  | { readonly type: 'closed'; readonly closing: Promise<void> };

/** Builds values from the credential of a store, and decides which of them may be served. */
export class DerivedValue<T, V> implements Derived<V>, WatcherOwner<T> {
  readonly value$: Observable<V | undefined>;
  readonly state$: Observable<DerivedState>;
  readonly #live: WatchedEntry<T>;
  readonly #context: BuildContext<T, V>;
  readonly #watcher: CredentialWatcher<T>;
  readonly #rotation: Rotation<T, V>;
  readonly #values = new OrderedSubject<BuiltValue<V> | undefined>({ value: undefined });
  readonly #states = new OrderedSubject<DerivedState>({ value: unused });
  readonly #waiters = new Set<() => void>();
  #phase: Phase = { type: 'unused' };

  /** @throws ClosedError when the store is closed */
  constructor(
    internals: Pick<StoreInternals<T>, 'live' | 'closeFirst'>,
    context: BuildContext<T, V>,
  ) {
    const { live } = internals;
    this.#live = live;
    this.#context = context;
    this.#watcher = new CredentialWatcher(internals, this);
    this.#rotation = new Rotation(live, context, () => {
      this.#review();
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
      this.#phase = { type: 'used' };
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
    const { latest = unused } = this.#states;
    return sameDerivedState(state, latest) ? latest : state;
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
    if (this.#phase.type === 'closed') return this.#phase.closing;
    return closeOnce(
      () => this.#close(),
      (closing) => {
        this.#phase = { type: 'closed', closing };
      },
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  held(snapshot: CredentialSnapshot<T>): void {
    if (this.#isClosed()) return;
    this.#rotation.hold(snapshot);
    this.#review();
  }

  dropped(): void {
    if (this.#isClosed()) return;
    void this.#rotation.drop();
    this.#review();
  }

  withheld(): void {
    this.#review();
  }

  statusChanged(): void {
    if (this.#rotation.progress !== undefined) this.#review();
  }

  /** Waits until a value may be served, and takes it in the same step. */
  async #obtain<R>(options: DerivedWaitOptions, take: (built: BuiltValue<V>) => R): Promise<R> {
    checkOptions(WAIT_OPTIONS, options);
    const { signal, timeoutMs = this.#context.options.getTimeoutMs } = options;
    const { clock } = this.#context;
    const startedAt = clock.monotonic();
    const late = (): Error =>
      new TimeoutError('get() or use(): no value was built', timeoutMs, this.#live.status.error);
    for (;;) {
      this.#begin();
      if (this.#isClosed()) throw new ClosedError('the derived value');
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
    if (this.#phase.type === 'unused') this.#phase = { type: 'used' };
    this.#watch();
    if (this.#served() === undefined) this.#review();
  }

  #watch(): void {
    if (!this.#isClosed()) this.#watcher.start();
  }

  /** Calls `create` if it is due, and emits the value and the state if they have changed. */
  #review(): void {
    if (this.#isClosed()) return;
    if (this.#phase.type === 'used') this.#rotation.start();
    this.#rotation.settle();
    // `create` and `dispose` may have closed this object.
    if (!this.#isClosed()) this.#emit();
  }

  #emit(): void {
    const served = this.#served();
    if (served !== this.#values.latest) this.#values.emit(served);
    const { state } = this;
    if (state !== this.#states.latest) this.#states.emit(state);
    if (this.#served() !== undefined) for (const wake of this.#waiters) wake();
  }

  #served(): BuiltValue<V> | undefined {
    return this.#isClosed() ? undefined : this.#rotation.served;
  }

  #judge(): DerivedState {
    if (this.#phase.type === 'closed') return { type: 'closed' };
    if (this.#phase.type === 'unused') return unused;
    const { progress } = this.#rotation;
    if (progress === undefined || progress.type === 'pending') {
      return { type: 'idle', waitingFor: 'credential' };
    }
    if (progress.type === 'ready') return progress;
    return { ...progress, servesPrevious: this.#served() !== undefined };
  }

  /** A method, because a call of the caller's code between two checks may change the answer. */
  #isClosed(): boolean {
    return this.#phase.type === 'closed';
  }

  async #close(): Promise<void> {
    this.#watcher.stop();
    if (this.#values.latest !== undefined) this.#values.emit(undefined);
    this.#values.complete();
    this.#states.emit({ type: 'closed' });
    this.#states.complete();
    for (const wake of this.#waiters) wake();
    const { closeTimeoutMs } = this.#context.options;
    await this.#rotation.close(new ClosedError('the derived value'), closeTimeoutMs);
    this.#watcher.forget();
  }
}
