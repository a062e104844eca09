import { LONGEST_TIMER_MS, type Clock } from './clock.js';

/** A call that is due at an instant; made by {@link Deadlines.add}. */
export interface Deadline {
  readonly at: number;
  /** Whether the instant is still to come. */
  readonly pending: boolean;
  cancel(): void;
}

/** The object that a deadline calls. */
export interface DeadlineHolder {
  due(): void;
}

/**
 * An element of the heap of {@link Deadlines}; an owner of very many deadlines implements it on an object of its own, to save one object
 * each.
 */
export interface DeadlineEntry extends DeadlineHolder {
  readonly at: number;
  /** The place in the heap, set by the heap alone; below 0 outside of any heap. */
  index: number;
}

class Entry implements Deadline, DeadlineEntry {
  index = -1;
  readonly at: number;
  readonly #holder: DeadlineHolder;
  readonly #owner: Deadlines;

  constructor(owner: Deadlines, at: number, holder: DeadlineHolder) {
    this.#owner = owner;
    this.at = at;
    this.#holder = holder;
  }

  get pending(): boolean {
    return this.index >= 0;
  }

  due(): void {
    this.#holder.due();
  }

  cancel(): void {
    this.#owner.remove(this);
  }
}

/**
 * Any number of deadlines on one timer: a binary heap ordered by instant.
 *
 * Instants belong to the clock that `now` reads. When that clock is set anew, call {@link Deadlines.rearm}.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #heap: DeadlineEntry[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;

  constructor(clock: Clock, now: () => number) {
    this.#clock = clock;
    this.#now = now;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `holder.due()` once, at `at` or as soon after it as the timer allows, never before. */
  add(at: number, holder: DeadlineHolder): Deadline {
    const entry = new Entry(this, at, holder);
    this.insert(entry);
    return entry;
  }

  /** As {@link Deadlines.add}, for an entry that is not in any heap. */
  insert(entry: DeadlineEntry): void {
    entry.index = this.#heap.length;
    this.#heap.push(entry);
    this.#rise(entry);
    if (entry.index === 0) this.rearm();
  }

  /** Removes an entry; does nothing for one that is not in the heap. */
  remove(entry: DeadlineEntry): void {
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#heap.pop();
    if (last !== undefined && last !== entry) {
      last.index = index;
      this.#heap[index] = last;
      this.#rise(last);
      this.#sink(last);
    }
    if (index === 0) this.rearm();
  }

  /** Sets the timer for the first deadline, by the clock as it is now. */
  rearm(): void {
    const first = this.#heap[0];
    if (first === undefined) {
      this.#disarm();
      return;
    }
    const delay = Math.min(Math.max(Math.ceil(first.at - this.#now()), 0), LONGEST_TIMER_MS);
    const fireAt = this.#clock.monotonic() + delay;
    // Clock corrections below a timer's own slack are not worth a new timer.
    if (this.#cancelTimer !== undefined && Math.abs(fireAt - this.#timerAt) < 1) return;
    this.#disarm();
    this.#timerAt = fireAt;
    this.#cancelTimer = this.#clock.setTimer(() => {
      this.#cancelTimer = undefined;
      this.#fire();
    }, delay);
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #fire(): void {
    // Entries that are added meanwhile wait for the next timer, so that no holder can keep the process in this loop.
    for (let left = this.#heap.length; left > 0; left -= 1) {
      const first = this.#heap[0];
      // Timers fire up to a millisecond early, and long waits come in pieces.
      if (first === undefined || first.at > this.#now()) break;
      this.#takeFirst(first);
      first.due();
    }
    this.rearm();
  }

  #takeFirst(first: DeadlineEntry): void {
    first.index = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === first) return;
    last.index = 0;
    this.#heap[0] = last;
    this.#sink(last);
  }

  #rise(entry: DeadlineEntry): void {
    while (entry.index > 0) {
      const above = this.#heap[(entry.index - 1) >> 1];
      if (above === undefined || above.at <= entry.at) return;
      this.#swap(above, entry);
    }
  }

  #sink(entry: DeadlineEntry): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1];
      const right = this.#heap[2 * entry.index + 2];
      const least = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (least === undefined || entry.at <= least.at) return;
      this.#swap(entry, least);
    }
  }

  /** Exchanges the places of a parent (`upper`) and its child (`lower`). */
  #swap(upper: DeadlineEntry, lower: DeadlineEntry): void {
    const at = upper.index;
    this.#heap[lower.index] = upper;
    upper.index = lower.index;
    this.#heap[at] = lower;
    lower.index = at;
  }
}
