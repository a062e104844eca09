import type { Deadline, DeadlineHolder } from './deadlines.js';
import type { ServerTime } from './server-time.js';

/** Whom the alarm tells. */
export interface EndAlarmHolder {
  endPassed(): void;
}

/** Rings when one end, which may move, has passed for certain. */
export class EndAlarm implements DeadlineHolder {
  readonly #holder: EndAlarmHolder;
  #time: ServerTime | undefined;
  #deadline: Deadline | undefined;

  constructor(holder: EndAlarmHolder) {
    this.#holder = holder;
  }

  /** Sets the end to wait for, by the clock that it belongs to; it may ring again for the same end when that clock was set back. */
  set(time: ServerTime | undefined, end: number | undefined): void {
    // Redis still serves a key in the very millisecond in which its TTL ends.
    const at = end === undefined ? undefined : end + 1;
    const same = this.#deadline?.at === at && this.#time === time;
    if (same && this.#deadline?.pending) return;
    // Bytes that outlive their end, and ends that pass while cut off, would ring for ever.
    if (same && at !== undefined && time !== undefined && time.earliest() >= at) return;
    this.cancel();
    this.#time = time;
    if (at !== undefined) this.#deadline = time?.deadlines.add(at, this);
  }

  due(): void {
    this.#holder.endPassed();
  }

  cancel(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }
}
