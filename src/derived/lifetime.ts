import { setMaxListeners } from 'node:events';

/**
 * The signal of one value: follows the withdrawal of its credential, and ends when the value does. Not `AbortSignal.any`: a
 * withdrawal signal outlives many rotations, and would collect a follower of each.
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

  /** Does nothing the second time. */
  end(reason?: unknown): void {
    this.#withdrawal.removeEventListener('abort', this.#withdrawn);
    this.#controller.abort(reason);
  }
}
