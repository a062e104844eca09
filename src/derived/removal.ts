import { pauseAfter } from '../time/back-off.js';
import { TimeoutError } from '../errors.js';
import { setLongTimeout, isThenable } from '../time/timers.js';
import type { ResolvedInvalidateOptions } from './invalidate-options.js';
import { RETRY_BACK_OFF } from './retries.js';

type Terms = Pick<
  ResolvedInvalidateOptions,
  'clock' | 'random' | 'removalTimeoutMs' | 'onCallbackError'
>;

/** One removal that is repeated as often as it is asked for, one at a time, and until it succeeds. */
export class Removal {
  readonly #terms: Terms;
  readonly #where: string;
  readonly #remove: () => unknown;
  readonly #done: () => void;
  /** The call that is under way; what an earlier one still says is dropped. */
  #running: object | undefined;
  #again = false;
  #failures = 0;
  #cancelTimer: () => void = () => undefined;

  /** @param done - called when nothing is left to do */
  constructor(
    terms: Terms,
    where: string,
    remove: () => unknown,
    done: () => void = () => undefined,
  ) {
    this.#terms = terms;
    this.#where = where;
    this.#remove = remove;
    this.#done = done;
  }

  request(): void {
    // What is being removed may have been written after that was sent.
    if (this.#running === undefined) this.#run();
    else this.#again = true;
  }

  close(): void {
    this.#running = undefined;
    this.#again = false;
    this.#cancelTimer();
  }

  #run(): void {
    this.#cancelTimer();
    this.#again = false;
    const run = (this.#running = {});
    const { clock, removalTimeoutMs } = this.#terms;
    try {
      const result = this.#remove();
      if (!isThenable(result)) {
        this.#succeed(run);
        return;
      }
      Promise.resolve(result).then(
        () => {
          this.#succeed(run);
        },
        (error: unknown) => {
          this.#fail(run, error);
        },
      );
      // The cache may have come back to us, and closed us.
      if (run !== this.#running) return;
      this.#cancelTimer = setLongTimeout(clock, removalTimeoutMs, () => {
        this.#fail(
          run,
          new TimeoutError(
            'invalidate(): a removal from the cache did not settle',
            removalTimeoutMs,
          ),
        );
      });
    } catch (error) {
      this.#fail(run, error);
    }
  }

  #succeed(run: object): void {
    if (run !== this.#running) return;
    this.#running = undefined;
    this.#cancelTimer();
    this.#failures = 0;
    if (this.#again) this.#run();
    else this.#done();
  }

  #fail(run: object, error: unknown): void {
    if (run !== this.#running) return;
    this.#running = undefined;
    this.#cancelTimer();
    this.#failures += 1;
    const { clock, random, onCallbackError } = this.#terms;
    this.#cancelTimer = setLongTimeout(
      clock,
      pauseAfter(this.#failures, RETRY_BACK_OFF, random),
      () => {
        this.#run();
      },
    );
    onCallbackError(error, this.#where);
  }
}
