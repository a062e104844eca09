import type { Clock } from '../clock.js';
import type { CredentialBackend } from '../credential-backend.js';
import { after } from '../waiting.js';
import type { Pace } from './pace.js';

/** `resync`: hints may have been missed · `all`: nobody sends hints · `unknown`: too many hints came for ids that were not known. */
export type SweepTask = 'resync' | 'all' | 'unknown';

/** Whom it serves. */
export interface SweepHolder {
  /** The keys that are known, from the first; others may come meanwhile. */
  known(): Iterable<string>;
  /** A key is to be looked at, known or not. */
  found(key: string, task: SweepTask): void;
  done(task: SweepTask): void;
  /** It is tried again. */
  failed(error: Error): void;
}

const RETRY_MS = 1_000;
/** Whoever sends hints for ids that are not there cannot keep the server busy: in between it rests for as long as a sweep takes. */
const LEAST_REST_MS = 1_000;

const WEIGHT: Readonly<Record<SweepTask, number>> = { unknown: 0, all: 1, resync: 2 };

/** Goes through all keys under a prefix, those that are known and those that are found, one time after the other. */
export class Sweep {
  readonly #backend: CredentialBackend;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #pace: () => Pace;
  readonly #holder: SweepHolder;
  /** Identifies the one under way. */
  #current: { readonly task: SweepTask } | undefined;
  #asked: SweepTask | undefined;
  #cancelRest: (() => void) | undefined;

  constructor(
    backend: CredentialBackend,
    prefix: string,
    clock: Clock,
    pace: () => Pace,
    holder: SweepHolder,
  ) {
    this.#backend = backend;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#pace = pace;
    this.#holder = holder;
  }

  /** Has everything gone through: now, or once more after the one under way. */
  ask(task: SweepTask): void {
    if (task === 'resync') this.stop();
    const before = this.#asked;
    if (before === undefined || WEIGHT[before] < WEIGHT[task]) this.#asked = task;
    if (this.#current !== undefined || (task === 'unknown' && this.#cancelRest !== undefined))
      return;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
    this.#begin();
  }

  stop(): void {
    this.#current = undefined;
    this.#asked = undefined;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
  }

  #begin(): void {
    const task = this.#asked;
    if (task === undefined) return;
    this.#asked = undefined;
    const current = { task };
    this.#current = current;
    const startedAt = this.#clock.monotonic();
    void this.#run(current).then(
      (finished) => {
        if (!finished || this.#current !== current) return;
        this.#current = undefined;
        this.#rest(Math.max(LEAST_REST_MS, this.#clock.monotonic() - startedAt));
        this.#holder.done(task);
      },
      (error: unknown) => {
        if (this.#current !== current) return;
        this.#current = undefined;
        this.#asked = task;
        this.#rest(RETRY_MS);
        this.#holder.failed(error instanceof Error ? error : new Error('scanning failed'));
      },
    );
  }

  /** Says whether it came to its end. */
  async #run(current: { readonly task: SweepTask }): Promise<boolean> {
    const isOver = (): boolean => this.#current !== current;
    const pace = this.#pace();
    const { task } = current;
    if (task !== 'unknown') {
      for (const key of this.#holder.known()) {
        this.#holder.found(key, task);
        const rest = pace.rest();
        if (rest !== undefined) await rest;
        if (isOver()) return false;
      }
    }
    for await (const page of this.#backend.keys(this.#prefix)) {
      for (const key of page) {
        if (isOver()) return false;
        // Those that were known have been looked at just now.
        this.#holder.found(key, 'unknown');
        const rest = pace.rest();
        if (rest !== undefined) await rest;
      }
      if (isOver()) return false;
    }
    return true;
  }

  #rest(restMs: number): void {
    this.#cancelRest = after(this.#clock, restMs, () => {
      this.#cancelRest = undefined;
      this.#begin();
    });
  }
}
