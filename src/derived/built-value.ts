import { setLongTimeout } from '../time/timers.js';
import type { ResolvedDeriveOptions } from './options.js';
import type { ValueSignal } from './lifetime.js';

/** One value that `create` gave, from then until it was disposed of, which happens exactly once. */
export class BuiltValue<V> {
  readonly value: V;
  readonly #lifetime: ValueSignal;
  readonly #options: ResolvedDeriveOptions<V>;
  readonly #disposed: Promise<void>;
  #resolveDisposed: () => void = () => undefined;
  #uses = 0;
  /** Given to somebody who does not say when it is no longer used. */
  #lent = false;
  #retired = false;
  #ended = false;
  #cancelGrace: () => void = () => undefined;

  constructor(value: V, lifetime: ValueSignal, options: ResolvedDeriveOptions<V>) {
    this.value = value;
    this.#lifetime = lifetime;
    this.#options = options;
    this.#disposed = new Promise((resolve) => {
      this.#resolveDisposed = resolve;
    });
  }

  /** Resolves when `dispose` has settled. */
  get disposed(): Promise<void> {
    return this.#disposed;
  }

  handOut(): V {
    this.#lent = true;
    return this.value;
  }

  /** Keeps it until the returned function is called, once. */
  keep(): () => void {
    this.#uses += 1;
    return () => {
      this.#uses -= 1;
      this.#endIfUnused();
    };
  }

  /** It is not served any longer: disposes of it when nobody can be using it, at the latest after the grace period. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#endIfUnused();
    if (this.#ended) return;
    const { clock, graceMs } = this.#options;
    if (graceMs === 0) this.end();
    else {
      this.#cancelGrace = setLongTimeout(clock, graceMs, () => {
        this.end();
      });
    }
  }

  /** As `retire`, but waits for running uses alone, and for those without end. */
  finish(): void {
    this.#retired = true;
    this.#lent = false;
    this.#cancelGrace();
    this.#endIfUnused();
  }

  /** Disposes of it now. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelGrace();
    this.#lifetime.end();
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
    if (this.#retired && this.#uses === 0 && !this.#lent) this.end();
  }
}
