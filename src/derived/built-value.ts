import { setMaxListeners } from 'node:events';
import { abortInRootContext } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import { setLongTimeout } from '../time/timers.js';
import type { ResolvedDeriveOptions } from './options.js';

/**
 * The signal of one value: follows the withdrawal of its credential, and ends with the value. Not `AbortSignal.any`: a withdrawal signal
 * outlives many rotations, and would collect a follower of each.
 */
export class ValueSignal {
  readonly #controller = new AbortController();
  readonly #withdrawal: AbortSignal;
  readonly #withdrawn = (): void => {
    this.end(this.#withdrawal.reason);
  };

  constructor(withdrawal: AbortSignal) {
    this.#withdrawal = withdrawal;
    setMaxListeners(0, this.#controller.signal);
    if (withdrawal.aborted) this.#withdrawn();
    else withdrawal.addEventListener('abort', this.#withdrawn, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The second call has no effect. */
  end(reason?: unknown): void {
    this.#withdrawal.removeEventListener('abort', this.#withdrawn);
    abortInRootContext(this.#controller, reason);
  }
}

/** `retired`: another value or none is served instead, and the retired value ends with its last use, at the latest after the grace period. */
type ValueState =
  | { readonly type: 'served' }
  | { readonly type: 'retired'; readonly cancelGrace: () => void }
  | { readonly type: 'ended' };

/** One value that `create` returned, from that moment until its disposal, which happens exactly once. */
export class BuiltValue<V> {
  readonly value: V;
  readonly #signal: ValueSignal;
  readonly #options: ResolvedDeriveOptions<V>;
  readonly #clock: Clock;
  readonly #disposed: Promise<void>;
  #resolveDisposed: () => void = () => undefined;
  #state: ValueState = { type: 'served' };
  /** The running calls of `use`. */
  #uses = 0;
  /** The value went to a caller who does not say when the work with it is over. */
  #handedOut = false;

  constructor(value: V, signal: ValueSignal, options: ResolvedDeriveOptions<V>, clock: Clock) {
    this.value = value;
    this.#signal = signal;
    this.#options = options;
    this.#clock = clock;
    this.#disposed = new Promise((resolve) => {
      this.#resolveDisposed = resolve;
    });
  }

  /** Resolves when `dispose` has settled. */
  get disposed(): Promise<void> {
    return this.#disposed;
  }

  handOut(): V {
    this.#handedOut = true;
    return this.value;
  }

  /** Keeps the value until the returned function is called, once. */
  keep(): () => void {
    this.#uses += 1;
    return () => {
      this.#uses -= 1;
      this.#endIfUnused();
    };
  }

  /** Another value or none is served from now on. */
  retire(): void {
    if (this.#state.type !== 'served') return;
    const { graceMs } = this.#options;
    const cancelGrace = setLongTimeout(this.#clock, graceMs, () => {
      this.end();
    });
    this.#state = { type: 'retired', cancelGrace };
    if (graceMs === 0) this.end();
    else this.#endIfUnused();
  }

  /** As `retire`, but waits for the running calls of `use` only, however long they take. */
  finish(): void {
    if (this.#state.type === 'ended') return;
    if (this.#state.type === 'retired') this.#state.cancelGrace();
    this.#state = { type: 'retired', cancelGrace: () => undefined };
    this.#handedOut = false;
    this.#endIfUnused();
  }

  /** Disposes of the value now. */
  end(): void {
    if (this.#state.type === 'ended') return;
    if (this.#state.type === 'retired') this.#state.cancelGrace();
    this.#state = { type: 'ended' };
    this.#signal.end();
    const { dispose, onCallbackError } = this.#options;
    void new Promise((resolve) => {
      resolve(dispose?.(this.value));
    })
      .catch((error: unknown) => {
        onCallbackError(error, 'dispose of a derived value');
      })
      .finally(this.#resolveDisposed);
  }

  #endIfUnused(): void {
    if (this.#state.type === 'retired' && this.#uses === 0 && !this.#handedOut) this.end();
  }
}
