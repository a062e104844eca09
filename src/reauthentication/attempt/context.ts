import type { AttemptVerbs } from '../../backend/attempt-verbs.js';
import type { CredentialSnapshot } from '../../credential/snapshot.js';
import type { StoreInternals } from '../../stores/internals.js';
import type { Pauses } from '../../time/pauses.js';
import type { Semaphore } from '../../util/semaphore.js';
import type { Halt } from '../halt.js';
import type { AttemptRequest, ResolvedReauthenticatorOptions } from '../options.js';
import type { ReauthenticationCounts } from '../state.js';

/** The reason to renew the credential, and the snapshot to replace. */
export type RenewalReason<T> =
  | {
      readonly cause: 'expiring' | 'expired';
      readonly snapshot: CredentialSnapshot<T>;
      readonly reason: undefined;
    }
  | {
      readonly cause: 'rejected';
      readonly snapshot: CredentialSnapshot<T>;
      /** The `reason` given to `reject`. */
      readonly reason: string | undefined;
    }
  | { readonly cause: 'absent' | 'cleared'; readonly snapshot: undefined };

/** The stored bytes that an attempt starts from. */
export interface Basis<T> {
  readonly expected: { readonly digest: string } | 'absent';
  readonly end: number | undefined;
  /** Calls `refresh` with the previous credentials, or `login` without. */
  readonly call: (request: AttemptRequest) => T | PromiseLike<T>;
}

export type Counter = { -readonly [Name in keyof ReauthenticationCounts]: number };

/** The parts that all attempts of one reauthenticator share. */
export interface AttemptContext<T> {
  readonly attempts: AttemptVerbs;
  readonly internals: StoreInternals<T>;
  readonly options: ResolvedReauthenticatorOptions<T>;
  readonly counts: Counter;
  /** Bounds how many credentials of a pool are re-authenticated at the same time; a reauthenticator of its own has no bound. */
  readonly semaphore: Semaphore | undefined;
  /** The pauses between tries; they end when the reauthenticator closes for good. */
  readonly pauses: Pauses;
  /** Receives the reason why Redis did not store the result of this attempt; the attempt tries again. */
  readonly commitFailed: (attempt: number, error: unknown) => void;
  /** The kinds of failures that a warning has told of. */
  readonly warned: Set<Halt['reason']>;
  /** Receives the failure after which this instance makes no attempts. */
  readonly halted: (halt: Halt) => void;
}
