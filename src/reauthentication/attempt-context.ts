import type { AttemptVerbs } from '../backend/attempt-verbs.js';
import type { CredentialSnapshot } from '../credential/snapshot.js';
import type { StoreInternals } from '../stores/store-internals.js';
import type { Pauses } from './pauses.js';
import type { ResolvedReauthenticatorOptions } from './options.js';
import type { ReauthenticationCause, ReauthenticationCounts } from './state.js';

/** Why there should be new credentials, and instead of which. */
export interface RenewalReason<T> {
  readonly cause: ReauthenticationCause;
  readonly snapshot: CredentialSnapshot<T> | undefined;
  /** What was given to `reject`. */
  readonly reason: string | undefined;
}

/** The stored bytes that an attempt starts from. */
export interface Basis<T> {
  readonly expected: { readonly digest: string } | 'absent';
  readonly previous: T | undefined;
  readonly end: number | undefined;
  readonly ttlEnd: number | undefined;
}

export type Counter = { -readonly [Name in keyof ReauthenticationCounts]: number };

/** What all attempts of one reauthenticator share. */
export interface AttemptContext<T> {
  readonly attempts: AttemptVerbs;
  readonly internals: StoreInternals<T>;
  readonly options: ResolvedReauthenticatorOptions<T>;
  readonly counts: Counter;
  /** End when nobody waits any longer. */
  readonly pauses: Pauses;
  /** Whether the credential was evicted since it was last seen. */
  readonly wasEvicted: () => boolean;
  /** Told why Redis did not take what this attempt brought; it is tried again. */
  readonly troubled: (attempt: number, error: unknown) => void;
}

/** When the lease was asked for, by the monotonic clock, and which of the credentials seen so far were the last. */
export interface LeaseRequest {
  readonly generation: number;
  readonly at: number;
}
