import type { Clock } from '../time/clock.js';
import { rootClock } from '../time/root-clock.js';
import type { AttemptHint, Hint } from '../backend/backend.js';
import { hasEnded } from '../credential/state.js';
import { checkMs } from '../util/option-checks.js';
import { clock, random, resolveOptions, type OptionsTable } from '../util/options.js';

/** The number of writes between two searches for entries that ended and were never read again. */
const SWEEP_EVERY = 1_000;

/**
 * Options of a {@link CredentialMemory}.
 *
 * @public
 */
export interface CredentialMemoryOptions {
  /** The time of the memory and of its stores; default the machine's clock. Tests give a virtual clock. */
  readonly clock?: Clock | undefined;
  /** Gives numbers from 0 to below 1; default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The options of a memory. */
export const MEMORY_OPTIONS: OptionsTable<CredentialMemoryOptions> = {
  clock: clock('Stores on the memory use it too.'),
  random: random(),
};

interface Entry {
  readonly bytes: Buffer;
  readonly expiresAt: number | undefined;
}

/** A connection to the memory. */
export interface MemoryClient {
  hint(key: string, hint: Hint | AttemptHint): void;
  gap(gap: 'link' | 'data', connected: boolean): void;
}

/**
 * A small key space inside this process: stores on one memory see each other's credentials, as processes do through Redis.
 *
 * The methods act as a foreign client would: their effects are `out-of-band`.
 *
 * @example
 * ```ts
 * import { CredentialMemory, MemoryCredentialStore } from 'credstream';
 *
 * const memory = new CredentialMemory();
 * const store = new MemoryCredentialStore<{ token: string }>({ key: 'api', memory });
 * await store.save({ token: 'one' });
 * memory.evict('api');
 * ```
 * @public
 */
export class CredentialMemory {
  /** @internal */
  readonly clock: Clock;
  /** @internal */
  readonly random: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #clients = new Set<MemoryClient>();
  #connection: MemoryClient | undefined;
  /** The memory's own clock follows the monotonic clock, so that a step of the wall clock does not end credentials. */
  readonly #offset: number;
  #connected = true;
  #writes = 0;

  /** @throws InvalidOptionError */
  constructor(options: CredentialMemoryOptions = {}) {
    const { clock: given, random: jitter } = resolveOptions(MEMORY_OPTIONS, options);
    this.clock = rootClock(given);
    this.random = jitter;
    this.#offset = this.clock.now() - this.clock.monotonic();
  }

  /** Whether the memory is reachable for its stores. */
  get connected(): boolean {
    return this.#connected;
  }

  /** A copy of the bytes at a key; `undefined` for an absent key. */
  get(key: string): Buffer | undefined {
    const entry = this.peek(key);
    return entry && Buffer.from(entry.bytes);
  }

  /**
   * Stores bytes, or a string as UTF-8.
   *
   * @param options - `ttlMs`: the TTL in milliseconds, from 1; without it the key has no end
   */
  set(key: string, value: string | Uint8Array, options: { readonly ttlMs?: number } = {}): void {
    const ttlMs =
      options.ttlMs === undefined ? undefined : checkMs(options.ttlMs, 'ttlMs', 1, 2 ** 52);
    this.put(key, Buffer.from(value), ttlMs === undefined ? undefined : this.now() + ttlMs);
    this.emit(key, { type: 'written', origin: 'out-of-band', reason: undefined });
  }

  /**
   * Gives a key another end.
   *
   * @param ttlMs - in milliseconds from 1, `undefined` for no end
   * @returns whether the key was there
   */
  expire(key: string, ttlMs: number | undefined): boolean {
    const entry = this.peek(key);
    if (entry === undefined) return false;
    const expiresAt =
      ttlMs === undefined ? undefined : this.now() + checkMs(ttlMs, 'ttlMs', 1, 2 ** 52);
    this.put(key, entry.bytes, expiresAt);
    this.emit(key, { type: 'written', origin: 'out-of-band', reason: undefined });
    return true;
  }

  /** The remaining TTL of a key, in milliseconds; `undefined` for a key without end and for an absent key. */
  ttlMs(key: string): number | undefined {
    const end = this.peek(key)?.expiresAt;
    return end === undefined ? undefined : Math.max(0, end - this.now());
  }

  /** Removes a key; returns whether the key was there. */
  delete(key: string): boolean {
    return this.#remove(key, 'cleared');
  }

  /** Removes a key as a server short of memory would; returns whether the key was there. */
  evict(key: string): boolean {
    return this.#remove(key, 'evicted');
  }

  /** Removes every key without a hint for any of them, as FLUSHALL does. */
  flush(): void {
    this.#entries.clear();
    this.#report('data');
  }

  /** Disconnects all stores: their calls fail with an `UnavailableError`, and hints are lost. */
  disconnect(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#report('link');
  }

  /** Reconnects all stores. */
  reconnect(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#report('link');
  }

  /** @internal The time of the memory, in place of a server's clock. */
  now(): number {
    return this.clock.monotonic() + this.#offset;
  }

  /** @internal The entry of a key, unless it has ended. */
  peek(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !hasEnded(entry.expiresAt, this.now())) return entry;
    this.#entries.delete(key);
    this.emit(key, { type: 'removed', as: 'expired', origin: 'unknown', reason: undefined });
    return undefined;
  }

  /** @internal */
  keys(prefix: string): string[] {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix));
  }

  /** @internal */
  put(key: string, bytes: Buffer, expiresAt: number | undefined): void {
    this.#entries.set(key, {
      bytes,
      expiresAt: expiresAt === undefined ? undefined : Math.floor(expiresAt),
    });
    this.#writes += 1;
    if (this.#writes % SWEEP_EVERY === 0)
      for (const each of [...this.#entries.keys()]) this.peek(each);
  }

  /** @internal */
  drop(key: string): boolean {
    return this.peek(key) !== undefined && this.#entries.delete(key);
  }

  /** @internal */
  emit(key: string, hint: Hint | AttemptHint): void {
    if (!this.#connected) return;
    for (const client of this.#clients) client.hint(key, hint);
  }

  /** @internal The one connection over which all stores reach the memory. */
  connection<C extends MemoryClient>(make: (memory: this) => C): C {
    this.#connection ??= make(this);
    return this.#connection as C;
  }

  /** @internal */
  join(client: MemoryClient): () => void {
    this.#clients.add(client);
    return () => {
      this.#clients.delete(client);
    };
  }

  #remove(key: string, as: 'cleared' | 'evicted'): boolean {
    const removed = this.drop(key);
    // The server itself evicts, as in Redis; no client is the origin.
    const origin = as === 'evicted' ? 'unknown' : 'out-of-band';
    if (removed) this.emit(key, { type: 'removed', as, origin, reason: undefined });
    return removed;
  }

  #report(gap: 'link' | 'data'): void {
    for (const client of [...this.#clients]) client.gap(gap, this.#connected);
  }
}
