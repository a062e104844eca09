import type { Clock } from '../time/clock.js';
import { TimeSlicer, type Bounded } from '../time/slicing.js';
import type { Entry } from './entry/entry.js';

const noBound: Bounded = { capacity: () => undefined };

/** The entries that handles watch. There may be very many, therefore a report to all takes many turns. */
export class OpenEntries<T> {
  readonly clock: Clock;
  readonly #turns: TimeSlicer;
  readonly #readings: TimeSlicer;
  readonly #all = new Set<Entry<T>>();
  #unreported: Entry<T>[] = [];
  /** Identifies the report under way. */
  #report = {};
  #isPolling = false;

  constructor(clock: Clock, reads: Bounded) {
    this.clock = clock;
    this.#turns = new TimeSlicer(clock, noBound);
    this.#readings = new TimeSlicer(clock, reads);
  }

  get size(): number {
    return this.#all.size;
  }

  add(entry: Entry<T>): void {
    this.#all.add(entry);
    this.#unreported.push(entry);
    if (this.#unreported.length > 1) return;
    this.clock.nextTurn(() => {
      const unreported = this.#unreported;
      this.#unreported = [];
      void this.#reportTo(unreported, [false, true], () => false);
    });
  }

  delete(entry: Entry<T>): void {
    this.#all.delete(entry);
  }

  /** @param isLinked - whether the link to all keys is live; `undefined` when keys differ */
  conditionChanged(isLinked: boolean | undefined): void {
    const report = {};
    this.#report = report;
    const links = isLinked === undefined ? [false, true] : [isLinked];
    void this.#reportTo(this.#all, links, () => this.#report !== report);
  }

  poll(): void {
    if (this.#isPolling || this.size === 0) return;
    this.#isPolling = true;
    void this.#pollAll().then(() => {
      this.#isPolling = false;
    });
  }

  /** Reports the condition. Only a live link waits for room, because readings follow; a lost link is reported first. */
  async #reportTo(
    entries: Iterable<Entry<T>>,
    links: readonly boolean[],
    isOver: () => boolean,
  ): Promise<void> {
    for (const isLinked of links) {
      const slicer = isLinked ? this.#readings : this.#turns;
      for (const entry of entries) {
        if (isOver()) return;
        if (entry.isLinked === isLinked) entry.reportCondition();
        const rest = slicer.yield();
        if (rest !== undefined) await rest;
      }
    }
  }

  async #pollAll(): Promise<void> {
    const report = this.#report;
    for (const entry of this.#all) {
      if (this.#report !== report) return;
      entry.poll();
      const rest = this.#readings.yield();
      if (rest !== undefined) await rest;
    }
  }
}
