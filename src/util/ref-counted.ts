/**
 * A process that runs while at least one holder has it. Subclassed rather than composed, because there may be very many and a part would be
 * one more object each. For the same reason without private methods: each class that has some pays a field for them.
 */
export abstract class RefCounted {
  #holders = 0;
  #state: 'free' | 'keptAlive' | 'closed' = 'free';

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get retained(): boolean {
    return this.#holders > 0;
  }

  /** Starts, or goes on, until `close()`. */
  keepAlive(): void {
    if (this.#state !== 'free') return;
    // The state is set first, because a listener that hears of the start may close.
    this.#state = 'keptAlive';
    this.acquire();
  }

  /** Starts with the first holder and stops with the last one. Returns the release function, which may be called twice. */
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

  /** As {@link RefCounted.retain}, for a caller that will {@link RefCounted.release} exactly once. */
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
