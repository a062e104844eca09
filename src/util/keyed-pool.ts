import { inRootContext } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import { ClosedError } from '../errors.js';
import { setLongTimeout } from '../time/timers.js';

/** A value that is kept for one id. */
interface Kept<V> {
  readonly value: V;
  users: number;
  usedAt: number;
}

/** Keeps a value for each id in use, makes values on demand, and ends a value that was idle for a while. One timer serves all values. */
export class KeyedPool<V> {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #make: (id: string) => V;
  readonly #end: (value: V) => Promise<void>;
  /** Map order is least recently used first. */
  readonly #kept = new Map<string, Kept<V>>();
  readonly #ending = new Set<Promise<void>>();
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  /** @param idleMs - `Infinity`: no value ends by itself */
  constructor(
    clock: Clock,
    idleMs: number,
    make: (id: string) => V,
    end: (value: V) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#make = make;
    this.#end = end;
  }

  get size(): number {
    return this.#kept.size;
  }

  peek(id: string): V | undefined {
    return this.#kept.get(id)?.value;
  }

  /** The value of an id; the call counts as a use. */
  get(id: string): V {
    return this.#touch(id).value;
  }

  /** Calls `use` with the value, and keeps the value until `use` settles. */
  async using<R>(id: string, use: (value: V) => R | PromiseLike<R>): Promise<R> {
    const kept = this.#touch(id);
    kept.users += 1;
    try {
      return await use(kept.value);
    } finally {
      kept.users -= 1;
      if (this.#kept.get(id) === kept) this.#touch(id);
    }
  }

  /** Ends the value of an id now. */
  async release(id: string): Promise<void> {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    await this.#finish(kept.value);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const { value } of this.#kept.values()) void this.#finish(value);
    this.#kept.clear();
    await Promise.all(this.#ending);
  }

  #touch(id: string): Kept<V> {
    if (this.#closed) throw new ClosedError();
    const usedAt = this.#clock.monotonic();
    const before = this.#kept.get(id);
    // The value outlives the call that was the first to use it.
    const kept = before ?? { value: inRootContext(() => this.#make(id)), users: 0, usedAt };
    kept.usedAt = usedAt;
    if (before !== undefined) this.#kept.delete(id);
    this.#kept.set(id, kept);
    this.#arm();
    return kept;
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined || this.#kept.size === 0) return;
    this.#cancelTimer = setLongTimeout(this.#clock, this.#idleMs, () => {
      this.#cancelTimer = undefined;
      this.#endIdle();
      this.#arm();
    });
  }

  #endIdle(): void {
    const latest = this.#clock.monotonic() - this.#idleMs;
    for (const [id, { users, usedAt }] of this.#kept) {
      if (usedAt > latest) return;
      if (users === 0) void this.release(id);
    }
  }

  async #finish(value: V): Promise<void> {
    const ending = this.#end(value);
    this.#ending.add(ending);
    await ending;
    this.#ending.delete(ending);
  }
}
