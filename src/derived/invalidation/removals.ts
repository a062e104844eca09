import { TimeoutError } from '../../errors.js';
import { pauseAfter, type BackOff } from '../../time/back-off.js';
import type { Clock } from '../../time/clock.js';
import { isThenable, setLongTimeout } from '../../time/timers.js';
import type { ResolvedInvalidateOptions } from './options.js';

/** The pauses between two tries of one removal. */
const REMOVAL_BACK_OFF: BackOff = { initialMs: 1_000, maxMs: 60_000 };

/** The entries to remove, and the way to remove them. */
export type Remover =
  | { readonly type: 'all'; readonly clear: () => unknown }
  | {
      readonly type: 'entries';
      readonly keys: () => Iterable<string>;
      readonly remove: (key: string) => unknown;
    };

/** The clock and the random numbers come from the backend of the store. */
export interface RemovalContext extends Pick<
  ResolvedInvalidateOptions,
  'removalTimeoutMs' | 'onCallbackError'
> {
  readonly clock: Clock;
  readonly random: () => number;
}

/** Removes the entries that depend on a credential, one by one, so that a failed removal holds up no other. */
export class Removals {
  readonly #context: RemovalContext;
  readonly #whole: Removal;
  readonly #entries = new Map<string, Removal>();

  constructor(remover: Remover, context: RemovalContext) {
    this.#context = context;
    this.#whole =
      remover.type === 'all'
        ? new Removal(context, 'clear of a cache', remover.clear)
        : new Removal(context, 'keys of a cache', () => {
            // A copy, because some caches do not bear a removal during an iteration.
            for (const key of [...remover.keys()]) this.#entry(key, remover.remove).request();
          });
  }

  request(): void {
    this.#whole.request();
  }

  /** Drops the removals that are due again after a failure. */
  close(): void {
    this.#whole.close();
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
  }

  #entry(key: string, remove: (key: string) => unknown): Removal {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry = new Removal(
      this.#context,
      'removal from a cache',
      () => remove(key),
      () => {
        this.#entries.delete(key);
      },
    );
    this.#entries.set(key, entry);
    return entry;
  }
}

/** One removal: repeated on every request, one call at a time, until it succeeds. */
class Removal {
  readonly #context: RemovalContext;
  readonly #where: string;
  readonly #remove: () => unknown;
  readonly #done: () => void;
  /** The call that is under way; the result of an earlier call is dropped. */
  #running: object | undefined;
  #again = false;
  #failures = 0;
  #cancelTimer: () => void = () => undefined;

  /** @param done - called when nothing is left to do */
  constructor(
    context: RemovalContext,
    where: string,
    remove: () => unknown,
    done: () => void = () => undefined,
  ) {
    this.#context = context;
    this.#where = where;
    this.#remove = remove;
    this.#done = done;
  }

  request(): void {
    // The entry may have been written again after the running call was sent.
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
    const { clock, removalTimeoutMs } = this.#context;
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
      // The cache may have closed this removal by a call back.
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
    const { clock, random, onCallbackError } = this.#context;
    this.#cancelTimer = setLongTimeout(
      clock,
      pauseAfter(this.#failures, REMOVAL_BACK_OFF, random),
      () => {
        this.#run();
      },
    );
    onCallbackError(error, this.#where);
  }
}
