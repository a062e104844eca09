import type { Clock } from './clock.js';
import { Deadlines } from './deadlines.js';
import { InvalidOptionError } from '../errors.js';

/** Clocks of healthy machines drift by far less; the bounds widen by this share of the time since the last sample. */
const DRIFT = 1e-4;

/** A larger difference between the wall clock and the monotonic clock means that the machine slept or that somebody set the wall clock. */
const STEP_MS = 1000;

type Clocks = Pick<Clock, 'now' | 'monotonic'>;

/** The lead of this machine's wall clock over its monotonic clock. */
export function wallOffset(clock: Clocks): number {
  return clock.now() - clock.monotonic();
}

/** Whether the two clocks of this machine have come apart since their offset was `before`. */
export function hasStepped(clock: Clocks, before: number): boolean {
  return Math.abs(wallOffset(clock) - before) > STEP_MS;
}

/** The instant so many seconds after `serverNow`. @throws InvalidOptionError */
export function endAfter(serverNow: number, seconds: number): number {
  if (!Number.isFinite(seconds)) throw new InvalidOptionError('seconds', 'must be a finite number');
  return Math.floor(serverNow + seconds * 1_000);
}

/**
 * The server's clock as far as this process can know it: between two bounds, carried by the monotonic clock.
 *
 * A sample says that the server's clock showed `serverNow` at some moment between sending and receiving. Bounds of successive samples are
 * intersected, so the bounds tighten to the fastest round trip. A sample that does not overlap them means that the server's clock was set,
 * or that another server replied: the bounds start anew from that sample.
 */
export class ServerTime {
  /** Deadlines by this clock, judged by its earlier bound: never due before the server's own clock shows the instant. */
  readonly deadlines: Deadlines;
  readonly #clock: Clock;
  readonly #drift: number;
  readonly #sampled: (() => void) | undefined;
  #low = -Infinity;
  #high = Infinity;
  #sampledAt: number | undefined;
  #wallOffset: number;

  /**
   * @param drift - how far the server's clock may run apart from the monotonic clock, as a share of the time
   * @param sampled - called after each sample
   */
  constructor(clock: Clock, drift: number = DRIFT, sampled?: () => void) {
    this.#clock = clock;
    this.#drift = drift;
    this.#sampled = sampled;
    this.#wallOffset = wallOffset(clock);
    this.deadlines = new Deadlines(clock, () => this.earliest());
  }

  /** Adds a sample: the server's clock showed `serverNow` between the monotonic instants `sentAt` and `receivedAt`. */
  sample(serverNow: number, sentAt: number, receivedAt: number): void {
    const low = serverNow - receivedAt;
    // The server's clock may have run fast while the reply traveled.
    const high = serverNow - sentAt + (receivedAt - sentAt) * this.#drift;
    const widen = this.#widening(receivedAt);
    const before = this.#low;
    const bothLow = Math.max(low, this.#low - widen);
    const bothHigh = Math.min(high, this.#high + widen);
    const overlap = bothLow <= bothHigh;
    this.#low = overlap ? bothLow : low;
    this.#high = overlap ? bothHigh : high;
    this.#sampledAt = receivedAt;
    this.#wallOffset = wallOffset(this.#clock);
    if (this.#low !== before) this.deadlines.rearm();
    this.#sampled?.();
  }

  /** This machine's wall clock minus the server's clock, in whole milliseconds; `undefined` before the first sample. */
  get skewMs(): number | undefined {
    return this.#sampledAt === undefined ? undefined : Math.round(this.#skew());
  }

  /** The least and the largest size of the skew that the samples allow, in milliseconds. */
  get skewRange(): { readonly least: number; readonly most: number } {
    const size = Math.abs(this.#skew());
    const doubt = (this.#high - this.#low) / 2;
    return { least: Math.max(0, size - doubt), most: size + doubt };
  }

  /** The server's clock shows at least this; `-Infinity` before the first sample. */
  earliest(): number {
    const at = this.#clock.monotonic();
    return at + this.#low - this.#widening(at);
  }

  /** The server's clock shows at most this; `Infinity` before the first sample. */
  latest(): number {
    const at = this.#clock.monotonic();
    return at + this.#high + this.#widening(at);
  }

  /** Whether the two clocks of this machine have come apart since the last sample. */
  hasStepped(): boolean {
    return hasStepped(this.#clock, this.#wallOffset);
  }

  /** Whether `end` may have passed by the server's clock, or this machine's clocks can no longer tell. Reads each clock once. */
  verdict(
    end: number | undefined,
    at: number = this.#clock.monotonic(),
  ): 'before' | 'passed' | 'stepped' {
    if (Math.abs(this.#clock.now() - at - this.#wallOffset) > STEP_MS) return 'stepped';
    return end !== undefined && at + this.#high + this.#widening(at) >= end ? 'passed' : 'before';
  }

  #skew(): number {
    return wallOffset(this.#clock) - (this.#low + this.#high) / 2;
  }

  #widening(at: number): number {
    return Math.max(0, at - (this.#sampledAt ?? at)) * this.#drift;
  }
}
