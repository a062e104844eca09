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

  /** Sets the end to wait for, by the clock that it belongs to; rings again for an end that is still the same after it rang. */
  set(time: ServerTime | undefined, end: number | undefined): void {
    // Redis still serves a key in the very millisecond in which its TTL ends.
    const at = end === undefined ? undefined : end + 1;
    if (this.#deadline?.pending && this.#deadline.at === at && this.#time === time) return;
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
