/**
 * Something that runs for as long as anybody holds it. A class to extend and not a part to have, because there may be very many, and each
 * would have one more object. For the same reason it has no private methods: each class that has some takes a field for them.
 */
export abstract class RefCounted {
  #holders = 0;
  #state: 'free' | 'pinned' | 'closed' = 'free';

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get retained(): boolean {
    return this.#holders > 0;
  }

  /** Starts, or goes on, until `close()`. */
  keepAlive(): void {
    if (this.#state !== 'free') return;
    // Before, because whoever is told of the start may close.
    this.#state = 'pinned';
    this.acquire();
  }

  /** Starts for the first caller and stops with the last; returns what lets go, which may be called twice. */
  retain(): () => void {
    if (this.closed) return () => undefined;
    this.acquire();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.release();
    };
  }

  /** As {@link RefCounted.retain}, for those who will {@link RefCounted.release} once. */
  acquire(): void {
    if (this.closed) return;
    this.#holders += 1;
    if (this.#holders === 1) this.start();
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0 && !this.closed) this.stop('idle');
  }

  close(): void {
    if (this.closed) return;
    this.#state = 'closed';
    this.stop('closed');
  }

  protected abstract start(): void;

  protected abstract stop(as: 'idle' | 'closed'): void;
}
