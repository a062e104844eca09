import type { Backend, FeedCondition } from '../backend/backend.js';
import type { Clock } from '../time/clock.js';
import type { TimeSlicer } from '../time/slicing.js';
import { setLongTimeout } from '../time/timers.js';
import { KeyScan, type KeyScanHolder, type ScanTask } from './key-scan.js';

/** A {@link KeyScan} that is repeated at intervals where hints can be lost, for the ids that no hint has told of. */
export class KeySweep {
  readonly #clock: Clock;
  readonly #scan: KeyScan;
  #everyMs: number | undefined;
  #cancel: (() => void) | undefined;
  #isSweeping = false;
  /** The duration of the last repetition, in whole seconds. */
  #tookMs = 0;

  constructor(
    backend: Backend,
    prefix: string,
    clock: Clock,
    createSlicer: () => TimeSlicer,
    holder: KeyScanHolder,
  ) {
    this.#clock = clock;
    this.#scan = new KeyScan(backend, prefix, clock, createSlicer, {
      known: () => holder.known(),
      found: (key, task) => {
        holder.found(key, task);
      },
      failed: (error) => {
        holder.failed(error);
      },
      done: (task, tookMs) => {
        if (this.#isSweeping) this.#tookMs = Math.floor(tookMs / 1_000) * 1_000;
        this.#isSweeping = false;
        this.#arm();
        holder.done(task, tookMs);
      },
    });
  }

  /** Requests a scan: now, or after the scan under way. */
  request(task: ScanTask): void {
    this.#scan.request(task);
  }

  /** @param everyMs - the pause after a scan; `undefined` for no repetition */
  repeat(everyMs: number | undefined): void {
    if (everyMs === this.#everyMs) return;
    this.#everyMs = everyMs;
    this.#arm();
  }

  stop(): void {
    this.#scan.stop();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#everyMs = undefined;
    this.#isSweeping = false;
  }

  /** The time within which an id is known that no hint has told of: the next scan may find it last. */
  lagMs({ maxLagMs, sweepMs }: FeedCondition, replyTimeoutMs: number): number {
    const listedMs = sweepMs === undefined ? 0 : sweepMs + replyTimeoutMs;
    return Math.max(maxLagMs, listedMs) + 2 * this.#tookMs;
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#everyMs === undefined) return;
    this.#cancel = setLongTimeout(this.#clock, this.#everyMs, () => {
      this.#isSweeping = true;
      this.#scan.request('unknown');
    });
  }
}
