import { setMaxListeners } from 'node:events';
import { abortInRootContext } from '../time/async-context.js';
import type { ChangeOrigin, ChangeSource } from './origin.js';
import type { UnreadableError } from '../errors.js';

/**
 * The event that withdrew a credential: a change without its credentials, or a rejection (`rejected`).
 *
 * @public
 */
export interface WithdrawalChange {
  /** The type of the change. */
  readonly type: 'saved' | 'expired' | 'cleared' | 'evicted' | 'unreadable' | 'rejected';
  /** The id of the credential. */
  readonly id: string;
  /** The `reason` of the writer, or of the call of `reject`; `undefined` for none. */
  readonly reason: string | undefined;
  /** The time of the observation, in epoch milliseconds of the Redis server's clock; `undefined` for a rejection. */
  readonly at?: number | undefined;
  /** How the change was noticed; `undefined` for a rejection. */
  readonly source?: ChangeSource | undefined;
  /** The author of the change, as far as hints show; `undefined` for a rejection. */
  readonly origin?: ChangeOrigin | undefined;
  /** The end that passed, or that of the newer credential, in epoch milliseconds of the Redis server's clock. */
  readonly expiresAt?: number | undefined;
  /** The reason why the bytes cannot be read; only for `unreadable`. */
  readonly error?: UnreadableError | undefined;
}

/**
 * The reason of the signal of a withdrawn credential, which `fetch` and other functions throw. It holds no credentials.
 *
 * @example
 * ```ts
 * import { WithdrawnError, type CredentialSnapshot } from 'credstream';
 *
 * async function call(snapshot: CredentialSnapshot<{ accessToken: string }>): Promise<Response | undefined> {
 *   const headers = { authorization: `Bearer ${snapshot.credentials.accessToken}` };
 *   try {
 *     return await fetch('https://api.example.com/me', { headers, signal: snapshot.signal });
 *   } catch (error) {
 *     if (!(error instanceof WithdrawnError)) throw error;
 *     console.log(error.change.type, error.change.reason);
 *     return undefined;
 *   }
 * }
 * ```
 * @public
 */
export class WithdrawnError extends Error {
  /** `AbortError`, by which functions that take a signal tell an abort from a failure. */
  override readonly name = 'AbortError';
  /** The kind of abort. */
  readonly code = 'CREDENTIAL_WITHDRAWN';
  /** The event that withdrew the credential. */
  readonly change: WithdrawalChange;

  /** @internal */
  constructor(change: WithdrawalChange) {
    super(`the credential "${change.id}" was withdrawn: ${change.type}`);
    this.change = change;
  }
}

/** The signals that a credential and its rotations share. A controller is created on first use, because most signals are never used. */
export class Withdrawal {
  /** One field holds the whole state, because every credential has a withdrawal: the signal, or the event that came before its first use. */
  #state: AbortController | WithdrawalChange | undefined;
  /** For calls that go on after a rejection. */
  #calls: AbortController | undefined;

  get signal(): AbortSignal {
    const before = this.#state;
    if (before instanceof AbortController) return before.signal;
    const controller = newController();
    if (before !== undefined) controller.abort(new WithdrawnError(before));
    this.#state = controller;
    return controller.signal;
  }

  /**
   * As `signal`, but a rejection does not abort it: a call under way may still succeed with credentials that another call was refused with, or
   * is refused itself.
   */
  get signalOfCalls(): AbortSignal {
    if (this.#calls !== undefined) return this.#calls.signal;
    this.#calls = newController();
    const before = this.#state;
    const change =
      before instanceof AbortController
        ? before.signal.aborted && (before.signal.reason as WithdrawnError).change
        : before;
    if (change && change.type !== 'rejected') this.#calls.abort(new WithdrawnError(change));
    return this.#calls.signal;
  }

  /** For the successor of a rejected credential: a logout also aborts calls that go on with the rejected one. `undefined` without such calls. */
  successor(): Withdrawal | undefined {
    if (this.#calls === undefined || this.#calls.signal.aborted) return undefined;
    const next = new Withdrawal();
    next.#calls = this.#calls;
    return next;
  }

  get withdrawn(): boolean {
    return this.#state instanceof AbortController
      ? this.#state.signal.aborted
      : this.#state !== undefined;
  }

  withdraw(change: WithdrawalChange): void {
    const calls = this.#calls;
    if (calls !== undefined && change.type !== 'rejected' && !calls.signal.aborted)
      abortInRootContext(calls, new WithdrawnError(change));
    const before = this.#state;
    if (!(before instanceof AbortController)) this.#state ??= change;
    else if (!before.signal.aborted) abortInRootContext(before, new WithdrawnError(change));
  }
}

function newController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
