import type { DeadlineEntry } from './deadlines.js';
import type { ServerTime } from './server-time.js';

/** Whom the alarm tells. */
export interface EndAlarmHolder {
  endPassed(): void;
}

/** Rings when one end, which may move, has passed for certain. */
export class EndAlarm implements DeadlineEntry {
  /** When it rings, or rang last; no number while it is not set. */
  at: number = NaN;
  index = -1;
  readonly #holder: EndAlarmHolder;
  #time: ServerTime | undefined;

  constructor(holder: EndAlarmHolder) {
    this.#holder = holder;
  }

  /** Sets the end to wait for, by the clock that it belongs to; it may ring again for the same end when that clock was set back. */
  set(time: ServerTime, end: number): void {
    // Redis still serves a key in the very millisecond in which its TTL ends.
    const at = end + 1;
    if (this.at === at && this.#time === time) {
      if (this.index >= 0) return;
      // Bytes that outlive their end, and ends that pass while cut off, would ring for ever.
      if (time.earliest() >= at) return;
    }
    this.cancel();
    this.#time = time;
    this.at = at;
    time.deadlines.insert(this);
  }

  /** The clock that the end belongs to; `undefined` while it is not set. */
  get time(): ServerTime | undefined {
    return this.#time;
  }

  /** The server's clock at its earliest; `-Infinity` while it is not set. */
  get now(): number {
    return this.#time?.earliest() ?? -Infinity;
  }

  due(): void {
    this.#holder.endPassed();
  }

  cancel(): void {
    this.#time?.deadlines.remove(this);
    this.#time = undefined;
    this.at = NaN;
  }
}
