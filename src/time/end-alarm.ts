import type { DeadlineEntry } from './deadlines.js';
import type { ServerTime } from './server-time.js';

/** The object that an alarm calls. */
export interface EndAlarmHolder {
  endPassed(): void;
}

/** Calls its holder when one end, which may move, has passed for certain. */
export class EndAlarm implements DeadlineEntry {
  /** The instant of the next call, or of the last one; `NaN` while no end is set. */
  at: number = NaN;
  index = -1;
  readonly #holder: EndAlarmHolder;
  #time: ServerTime | undefined;

  constructor(holder: EndAlarmHolder) {
    this.#holder = holder;
  }

  /**
   * Sets the end to wait for, by the clock that the end belongs to. The alarm may call again for the same end when that clock was set back.
   */
  set(time: ServerTime, end: number): void {
    // Redis still serves a key in the very millisecond in which its TTL ends.
    const at = end + 1;
    if (this.at === at && this.#time === time) {
      if (this.index >= 0) return;
      // Bytes that outlive their end, and ends that pass while the link is lost, would set off the alarm for ever.
      if (time.earliest() >= at) return;
    }
    this.cancel();
    this.#time = time;
    this.at = at;
    time.deadlines.insert(this);
  }

  /** Waits again for an end that has not passed after all, because its clock was set back. */
  rearm(): void {
    const time = this.#time;
    if (time !== undefined && this.index < 0 && time.earliest() < this.at)
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
