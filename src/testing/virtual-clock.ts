import { LONGEST_TIMER_MS, type Clock } from '../time/clock.js';
import { InvalidOptionError } from '../errors.js';
import { checkMs } from '../util/option-checks.js';
import { option, resolveOptions, type OptionsTable } from '../util/options.js';

/** Captured before a test runner can install fake timers, which must not stop virtual time. */
const realTurn = setImmediate;

/** More turns than any program takes; beyond this number, turns cause each other without end. */
const MAX_TURNS = 100_000;
const MAX_TIMERS_AT_ONE_INSTANT = 100_000;

/** Far enough ahead to be never mistaken for the real time. */
const DEFAULT_START = Date.UTC(2040, 0, 1);

/**
 * Options of a {@link VirtualClock}.
 *
 * @public
 */
export interface VirtualClockOptions {
  /** The wall time at the start; a `Date` or epoch milliseconds. Default: midnight UTC, 1 January 2040. */
  readonly startAt?: Date | number | undefined;
}

/** The options of a `VirtualClock`. */
export const VIRTUAL_CLOCK_OPTIONS: OptionsTable<VirtualClockOptions> = {
  startAt: option({
    default: DEFAULT_START,
    shown: '1 January 2040',
    check: (value, name) => {
      if (value === null || !Number.isFinite(Number(value)))
        throw new InvalidOptionError(name, 'must be a valid Date or epoch milliseconds');
    },
    range: 'a `Date` or epoch milliseconds',
    cost: 'Credentials that are valid at one time may have ended at another.',
  }),
};

interface Timer {
  readonly at: number;
  /** Timers that are due at one instant fire in the order in which they were set. */
  readonly order: number;
  readonly run: () => void;
}

/**
 * A clock that moves only on `advance`, for tests of any code with an option `clock`.
 *
 * @remarks Only time is virtual. Turns of the event loop and promises go on by themselves, so that `await store.save(…)` settles without
 *   a move of the clock; timers wait for {@link VirtualClock.advance}. Real input and output (sockets, files, a real `setTimeout`) is not
 *   waited for.
 *
 * @example
 * ```ts
 * import { CredentialMemory, MemoryCredentialStore } from 'credstream';
 * import { VirtualClock } from 'credstream/testing';
 *
 * const clock = new VirtualClock();
 * const memory = new CredentialMemory({ clock });
 * const store = new MemoryCredentialStore<{ token: string }>({ key: 'api', memory, ttlSeconds: 3600 });
 * store.on('expired', () => {
 *   console.log('log in again');
 * });
 * await store.ready();
 * await store.save({ token: 'one' });
 * await clock.advance(3_600_001);
 * ```
 * @public
 */
export class VirtualClock implements Clock {
  #wall: number;
  #monotonic = 0;
  #orders = 0;
  #turns = 0;
  /** Sorted: the first timer is due first. */
  readonly #timers: Timer[] = [];
  #advancing: Promise<void> = Promise.resolve();

  /** @throws InvalidOptionError */
  constructor(options: VirtualClockOptions = {}) {
    this.#wall = Number(resolveOptions(VIRTUAL_CLOCK_OPTIONS, options).startAt);
  }

  /** The number of timers that are set; 0 after everything was closed. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** @throws InvalidOptionError for a delay that the machine's own timers would not keep */
  setTimer(run: () => void, delayMs: number): () => void {
    checkMs(delayMs, 'delayMs', 0, LONGEST_TIMER_MS);
    const timer: Timer = { at: this.#monotonic + delayMs, order: this.#orders, run };
    this.#orders += 1;
    this.#timers.splice(this.#placeOf(timer), 0, timer);
    return () => {
      const index = this.#placeOf(timer);
      if (this.#timers[index] === timer) this.#timers.splice(index, 1);
    };
  }

  nextTurn(run: () => void): void {
    this.#turns += 1;
    realTurn(() => {
      this.#turns -= 1;
      run();
    });
  }

  /**
   * Lets `ms` milliseconds pass on both clocks: fires the timers that become due, in order and each at its own instant, and lets turns and
   * promises drain before, between and after them. The real duration depends on the work, not on `ms`.
   *
   * @remarks Calls that overlap happen one after the other. `advance(0)` fires the timers that are due now.
   *
   * @param ms - from 0
   * @throws InvalidOptionError; the error of a timer; an `Error` when timers or turns set each other for ever
   */
  async advance(ms: number): Promise<void> {
    checkMs(ms, 'ms', 0, Number.MAX_SAFE_INTEGER);
    const done = this.#advancing.then(() => this.#advance(ms));
    this.#advancing = done.catch(() => undefined);
    await done;
  }

  /**
   * Lets turns and promises drain without moving either clock; fires no timer.
   *
   * @throws an `Error` when turns cause each other for ever
   */
  async settle(): Promise<void> {
    let quiet = 0;
    // The second quiet turn is for code that takes a turn without this clock.
    for (let turns = 0; quiet < 2; turns += 1) {
      if (turns > MAX_TURNS) throw new Error('turns of the event loop go on causing each other');
      await new Promise<void>((resolve) => {
        realTurn(resolve);
      });
      quiet = this.#turns === 0 ? quiet + 1 : 0;
    }
  }

  /**
   * Sets the wall clock forward or, with a negative number, back, as NTP or an operator would. The monotonic clock and its timers do not
   * notice.
   */
  step(ms: number): void {
    if (!Number.isFinite(ms)) throw new InvalidOptionError('ms', 'must be a finite number');
    this.#wall += ms;
  }

  /**
   * Suspends the machine: when it wakes, the wall clock has gone on by `ms` while the monotonic clock and its timers stood still.
   *
   * @remarks
   * A `CredentialMemory` is in the same machine and sleeps with it; a Redis server would not.
   *
   * @param ms - from 0
   */
  sleep(ms: number): void {
    this.#wall += checkMs(ms, 'ms', 0, Number.MAX_SAFE_INTEGER);
  }

  async #advance(ms: number): Promise<void> {
    const target = this.#monotonic + ms;
    await this.settle();
    let fired = 0;
    for (let first = this.#due(target); first !== undefined; first = this.#due(target)) {
      fired = first.at > this.#monotonic ? 0 : fired + 1;
      if (fired > MAX_TIMERS_AT_ONE_INSTANT) throw new Error('timers go on setting each other');
      this.#moveTo(first.at);
      first.run();
      await this.settle();
    }
    this.#moveTo(target);
  }

  /** Takes the first timer, if it is due by `target`. */
  #due(target: number): Timer | undefined {
    const first = this.#timers[0];
    return first !== undefined && first.at <= target ? this.#timers.shift() : undefined;
  }

  #moveTo(monotonic: number): void {
    if (monotonic <= this.#monotonic) return;
    this.#wall += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }

  /** The index of a timer in the sorted list, or the index where it belongs. */
  #placeOf({ at, order }: Timer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const timer = this.#timers[middle];
      const before =
        timer !== undefined && (timer.at < at || (timer.at === at && timer.order < order));
      if (before) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
