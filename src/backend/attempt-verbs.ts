import { UnavailableError } from '../errors.js';
import { commit, end, isCleared, renew, settle, start, type Decision } from './attempt-rules.js';
import type {
  AttemptBackend,
  AttemptName,
  AttemptOwner,
  AttemptStart,
  AttemptView,
  CommitAttempt,
  CommitOutcome,
  EndAttempt,
  RenewAttempt,
  RenewOutcome,
  SettleAttempt,
  StartAttempt,
} from './attempts.js';

/** A swap fails only after another swap has succeeded; attempts do not make so many in a row. */
const MAX_TRIES = 20;

/**
 * The five verbs of an attempt on any backend. Each reads the view, decides by the rules, and swaps; when the view has changed meanwhile, it
 * starts over. Each rejects with `UnavailableError`, `RefusedError`, or `OutcomeUnknownError` (call the verb again).
 */
export class AttemptVerbs {
  readonly #backend: AttemptBackend;

  constructor(backend: AttemptBackend) {
    this.#backend = backend;
  }

  /** Takes the lease, if no other attempt holds it and no rule refuses an attempt now. */
  start(request: StartAttempt): Promise<AttemptStart> {
    return this.#carryOut(request, start, keepOff);
  }

  /**
   * Whether the credential is absent because of a clear. Only reads.
   *
   * @param clearedBefore - an earlier clear does not count
   */
  async isCleared(key: string, clearedBefore: number | undefined): Promise<boolean> {
    const view = await this.#backend.swap({ key });
    return view !== 'swapped' && isCleared(view, clearedBefore);
  }

  /** Prolongs the lease. */
  renew(request: RenewAttempt): Promise<RenewOutcome> {
    return this.#carryOut(request, renew, () => 'superseded');
  }

  /**
   * Stores the result of an attempt, in one step with the checks: no other attempt takes precedence, and the key still holds the bytes that the
   * attempt started from, or was removed without a clear.
   */
  commit(request: CommitAttempt): Promise<CommitOutcome> {
    return this.#carryOut(request, commit, () => 'superseded');
  }

  /** Gives up the lease and announces the end to all waiters. Does nothing for an attempt that is superseded or committed. */
  end(request: EndAttempt): Promise<void> {
    return this.#carryOut(request, end, () => undefined);
  }

  /** Takes the fatal outcome of this attempt back, and ends an earlier clear, because new credentials were stored. */
  settle(request: SettleAttempt): Promise<void> {
    return this.#carryOut(request, settle, () => undefined);
  }

  async #carryOut<Q extends AttemptName, R>(
    request: Q,
    decide: (view: AttemptView, request: Q, by: AttemptOwner) => Decision<R>,
    whenNewer: () => R,
  ): Promise<R> {
    const { key } = request;
    const { instance, name } = this.#backend;
    let reply = await this.#backend.swap({ key });
    for (let tries = 0; reply !== 'swapped' && tries < MAX_TRIES; tries += 1) {
      if (reply.newer === true) return whenNewer();
      const { answer, change } = decide(reply, request, { instance, name });
      if (change === undefined) return answer;
      reply = await this.#backend.swap({ key, change: { ...change, version: reply.version } });
      if (reply === 'swapped') return answer;
    }
    throw new UnavailableError(
      `the record of the last attempt changed ${String(MAX_TRIES)} times while it was being changed; nothing was written`,
    );
  }
}

/** The record of a newer version may mean that its attempt is running. */
function keepOff(): never {
  throw new UnavailableError(
    'a newer version of credstream has written the record of the last attempt; this version keeps off',
  );
}
