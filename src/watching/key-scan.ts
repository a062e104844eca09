import { pauseAfter, type BackOff } from '../time/back-off.js';
import type { Clock } from '../time/clock.js';
import type { Backend } from '../backend/backend.js';
import { setLongTimeout } from '../time/timers.js';
import type { TimeSlicer } from '../time/slicing.js';

/**
 * The reason of a scan. `resync`: hints may have been missed · `all`: no hints arrive · `dropped`: too many hints came for unknown ids ·
 * `unknown`: ids that no hint has told of may be stored.
 */
export type ScanTask = 'resync' | 'all' | 'dropped' | 'unknown';

/** The owner of a {@link KeyScan}. */
export interface KeyScanHolder {
  /** The known keys, from the first; keys may be added meanwhile. */
  known(): Iterable<string>;
  /** A key is to be read, known or not. */
  found(key: string, task: ScanTask): void;
  /** @param tookMs - the duration of the scan */
  done(task: ScanTask, tookMs: number): void;
  /** The scan is repeated. */
  failed(error: Error): void;
}

const RETRY_BACK_OFF: BackOff = { initialMs: 1_000, maxMs: 5_000 };
/** The least pause between two scans, so that hints for absent ids cannot keep the server busy; the pause is also as long as the last scan. */
const LEAST_REST_MS = 1_000;

const WEIGHT: Readonly<Record<ScanTask, number>> = { unknown: 0, dropped: 1, all: 2, resync: 3 };

/** Whether only the keys that are not known are to be read. */
const listsOnly = (task: ScanTask): boolean => WEIGHT[task] <= WEIGHT.dropped;

interface Run {
  readonly task: ScanTask;
  /** Whether the known keys have been read, so that only the scan is left. */
  knownDone: boolean;
}

/** Reads all keys under a prefix: first the known keys, then those of a scan. At most one scan is under way. */
export class KeyScan {
  readonly #backend: Backend;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #createSlicer: () => TimeSlicer;
  readonly #holder: KeyScanHolder;
  /** The scan under way. */
  #current: Run | undefined;
  #requested: ScanTask | undefined;
  /** The requested scan is the rest of a failed one. */
  #knownDone = false;
  #failures = 0;
  #cancelRest: (() => void) | undefined;

  constructor(
    backend: Backend,
    prefix: string,
    clock: Clock,
    createSlicer: () => TimeSlicer,
    holder: KeyScanHolder,
  ) {
    this.#backend = backend;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#createSlicer = createSlicer;
    this.#holder = holder;
  }

  /** Requests a scan: now, or after the scan under way. */
  request(task: ScanTask): void {
    if (task === 'resync') this.stop();
    if (!listsOnly(task)) this.#knownDone = false;
    this.#raise(task);
    if (this.#current !== undefined || (listsOnly(task) && this.#cancelRest !== undefined)) return;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
    this.#begin();
  }

  stop(): void {
    this.#current = undefined;
    this.#requested = undefined;
    this.#knownDone = false;
    this.#failures = 0;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
  }

  #raise(task: ScanTask): void {
    const before = this.#requested;
    if (before === undefined || WEIGHT[before] < WEIGHT[task]) this.#requested = task;
  }

  #begin(): void {
    const task = this.#requested;
    if (task === undefined) return;
    this.#requested = undefined;
    const current: Run = { task, knownDone: this.#knownDone };
    this.#knownDone = false;
    this.#current = current;
    const startedAt = this.#clock.monotonic();
    const restFor = (leastMs: number): void => {
      this.#rest(Math.max(leastMs, this.#clock.monotonic() - startedAt));
    };
    void this.#run(current).then(
      (finished) => {
        if (!finished || this.#current !== current) return;
        this.#current = undefined;
        this.#failures = 0;
        restFor(LEAST_REST_MS);
        this.#holder.done(task, this.#clock.monotonic() - startedAt);
      },
      (error: unknown) => {
        if (this.#current !== current) return;
        this.#current = undefined;
        this.#failures += 1;
        // A larger task that was requested meanwhile begins from the start.
        this.#knownDone = current.knownDone && listsOnly(this.#requested ?? 'unknown');
        this.#raise(task);
        restFor(pauseAfter(this.#failures, RETRY_BACK_OFF, this.#backend.random));
        this.#holder.failed(error instanceof Error ? error : new Error('scanning failed'));
      },
    );
  }

  /** Returns whether the scan is complete. */
  async #run(current: Run): Promise<boolean> {
    const isOver = (): boolean => this.#current !== current;
    const slicer = this.#createSlicer();
    const { task } = current;
    if (!listsOnly(task) && !current.knownDone) {
      for (const key of this.#holder.known()) {
        this.#holder.found(key, task);
        const rest = slicer.yield();
        if (rest !== undefined) await rest;
        if (isOver()) return false;
      }
      current.knownDone = true;
    }
    for await (const page of this.#backend.keys(this.#prefix)) {
      for (const key of page) {
        if (isOver()) return false;
        // The known keys have been read just now.
        this.#holder.found(key, task === 'dropped' ? task : 'unknown');
        const rest = slicer.yield();
        if (rest !== undefined) await rest;
      }
      if (isOver()) return false;
    }
    return true;
  }

  #rest(restMs: number): void {
    this.#cancelRest = setLongTimeout(this.#clock, restMs, () => {
      this.#cancelRest = undefined;
      this.#begin();
    });
  }
}
