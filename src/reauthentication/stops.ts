import type { AttemptRecord } from '../backend/attempts.js';
import type { Clock } from '../time/clock.js';
import type { Halt } from './halt.js';
import type { ReauthenticationState } from './state.js';
import { refuse, type Waiter } from './waiters.js';

/** The end of all attempts of this instance: a fatal attempt of any instance, or a halt of this one. Callers are told of it. */
export class Stops {
  readonly #clock: Clock;
  readonly #id: string;
  #stop: AttemptRecord | Halt | undefined;

  /** @param id - of the credential, for errors */
  constructor(clock: Clock, id: string) {
    this.#clock = clock;
    this.#id = id;
  }

  /** Whether this instance makes no attempts now. */
  get last(): boolean {
    if (this.#stop === undefined || 'id' in this.#stop) return this.#stop !== undefined;
    return this.#clock.monotonic() < this.#stop.until;
  }

  begin(stop: AttemptRecord | Halt): void {
    this.#stop = stop;
  }

  /** New credentials were stored. Returns the id of the fatal attempt that they put an end to. */
  end(): string | undefined {
    const stop = this.#stop;
    this.#stop = undefined;
    return stop !== undefined && 'id' in stop ? stop.id : undefined;
  }

  refuse(waiter: Pick<Waiter<never>, 'deadlineAt' | 'reject'>): void {
    const stop = this.#stop;
    if (stop === undefined) return;
    const { oauthError } = stop;
    if ('id' in stop) {
      const why = oauthError === undefined ? '' : ` (${oauthError})`;
      const message = `re-authentication failed for good${why}`;
      refuse(waiter, this.#id, 'fatal', message, { oauthError });
    } else refuse(waiter, this.#id, stop.reason, stop.failure, { oauthError, cause: stop.cause });
  }

  /** Refuses a waiter that would give up before the next attempt. */
  refuseBefore(
    state: ReauthenticationState,
    waiter: Pick<Waiter<never>, 'deadlineAt' | 'reject'>,
  ): void {
    if (state.type !== 'backing-off') return;
    const { failures, nextAt } = state;
    const leftMs = waiter.deadlineAt - this.#clock.monotonic();
    if (failures === 0 || nextAt - this.#clock.now() <= leftMs) return;
    const count = failures === 1 ? 'the last attempt' : `the last ${String(failures)} attempts`;
    const message = `${count} failed; the next one is at ${new Date(nextAt).toISOString()}`;
    refuse(waiter, this.#id, 'backing-off', message, { failures, nextAt });
  }
}
