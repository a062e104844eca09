import { digestOf, withdrawalOf, type CredentialSnapshot } from '../credential/snapshot.js';
import { bytesGone, snapshotOf, type CredentialState } from '../credential/state.js';
import type { StateEvent } from '../watching/event-source.js';
import type { StoreInternals } from '../stores/internals.js';
import { refuse, type Waiter } from './waiters.js';
import type { RenewalReason } from './attempt/context.js';
import { Stops } from './stops.js';
import type { ResolvedReauthenticatorOptions } from './options.js';

/** Judges one credential by its state and its history: which waiters are settled, and whether the credential is to be renewed. */
export class CredentialAssessment<T> {
  readonly #internals: StoreInternals<T>;
  readonly #stays: boolean;
  readonly #hasLogin: boolean;
  /** The number of different credentials so far. */
  #generation = 0;
  /** The digest of the last known bytes. */
  #digest: string | undefined;
  readonly stops: Stops;
  #rejected: { readonly digest: string; readonly reason: string | undefined } | undefined;
  /** The monotonic instant until which the answer that the credential was cleared holds. */
  #clearedUntil = -Infinity;
  /** The server's time of the last reading that is known to have found the credential stored. */
  storedAt: number | undefined;
  #wasStored = false;

  constructor(
    internals: StoreInternals<T>,
    { whenCleared, login }: Pick<ResolvedReauthenticatorOptions<T>, 'whenCleared' | 'login'>,
  ) {
    this.#internals = internals;
    this.stops = new Stops(internals.backend.clock, internals.id);
    this.#stays = whenCleared === 'stay';
    this.#hasLogin = login !== undefined;
  }

  get state(): CredentialState<T> {
    return this.#internals.live.state;
  }

  get present(): CredentialSnapshot<T> | undefined {
    const { state } = this;
    return state.type === 'present' ? state.snapshot : undefined;
  }

  /** Changes with new credentials; an answer about the previous credentials is useless from then on. */
  get generation(): number {
    return this.#generation;
  }

  /** A clear before this instant does not count, because the credential was stored since. */
  get clearedBefore(): number | undefined {
    return this.#stays ? this.storedAt : Infinity;
  }

  /** @param readAt - the server's time of the reading behind the event, if there was one */
  took({ change, readAt }: StateEvent<T>): void {
    // A saved change means new credentials, even with the same bytes.
    if (change?.type === 'saved') this.#digest = undefined;
    if (readAt === undefined) return;
    if (this.#isStored(this.state)) this.storedAt = readAt;
    // The server's clock was set back: its times before and after cannot be compared.
    else if (readAt < (this.storedAt ?? readAt)) this.storedAt = undefined;
  }

  /**
   * Redis answered that the credential was cleared. A removal by other means may follow a later save, which this instance may miss both:
   * after a while Redis is asked again.
   */
  wasCleared(forMs: number): void {
    this.#clearedUntil = this.#internals.backend.clock.monotonic() + forMs;
  }

  /** Compares the stored credentials with the last known ones; returns the id of the failed attempt that new credentials put an end to. */
  replaced(): string | undefined {
    const { state } = this;
    const snapshot = state.type === 'withheld' ? undefined : snapshotOf(state);
    const digest = snapshot && digestOf(snapshot);
    if (digest === undefined || digest === this.#digest || this.#isAbsent(state)) return undefined;
    this.#digest = digest;
    this.#generation += 1;
    const ended = this.stops.end();
    this.#rejected = undefined;
    this.#clearedUntil = -Infinity;
    return ended;
  }

  /** Whether the key is stored now and was not before: an earlier clear has ended. */
  returned(): boolean {
    const { state } = this;
    if (state.type === 'unknown' || state.type === 'withheld') return false;
    const before = this.#wasStored;
    this.#wasStored = this.#isStored(state);
    return this.#wasStored && !before;
  }

  /** Valid credentials from memory, if they stay valid for so long. */
  valid(minValidityMs: number): CredentialSnapshot<T> | undefined {
    const { live } = this.#internals;
    const { current } = live;
    if (current === undefined || this.#isRejected(current)) return undefined;
    const end = current.expiresAt;
    if (minValidityMs === 0 || end === undefined) return current;
    return end - live.serverNow() >= minValidityMs ? current : undefined;
  }

  /** Says whether the rejected credential was the current one. */
  reject(digest: string, reason: string | undefined): boolean {
    const { present } = this;
    if (present === undefined || digestOf(present) !== digest) return false;
    if (this.#rejected?.digest === digest) return true;
    this.#rejected = { digest, reason };
    withdrawalOf(present)?.withdraw({ type: 'rejected', id: this.#internals.id, reason });
    return true;
  }

  /** Whether the credential may have been cleared for good, and only Redis can tell. */
  get mayBeCleared(): boolean {
    return this.#stays && this.#isAbsent(this.state);
  }

  /** Whether nothing is stored, and only a save by somebody can change that. */
  get needsLogin(): boolean {
    const { state } = this;
    return !this.#hasLogin && state.type !== 'withheld' && this.#isAbsent(state);
  }

  /** Settles a waiter, if its answer is known. */
  answer(waiter: Waiter<T>): void {
    const { state } = this;
    const valid = this.valid(waiter.minValidityMs);
    if (valid !== undefined) waiter.resolve(valid);
    else if (state.type === 'unreadable') waiter.reject(state.error);
    else if (this.#isNewer(waiter)) {
      refuse(
        waiter,
        this.#internals.id,
        'short-lived',
        'the new credentials end before minValidityMs',
      );
    } else if (this.stops.last) this.stops.refuse(waiter);
    else if (this.#isClearedForGood(state)) {
      refuse(waiter, this.#internals.id, 'cleared', 'the credentials were cleared');
    } else if (waiter.isAbsenceConfirmed && this.needsLogin) {
      refuse(
        waiter,
        this.#internals.id,
        'absent',
        'no credentials are stored, and there is no login',
      );
    }
  }

  /**
   * The reason to renew the credential, if there is one.
   *
   * @param hasWaiters - whether callers wait
   * @param isDue - whether a snapshot is due for renewal
   */
  reasonToRenew(
    hasWaiters: boolean,
    isDue: (snapshot: CredentialSnapshot<T>) => boolean,
  ): RenewalReason<T> | undefined {
    const { state } = this;
    if (this.#isAbsent(state)) {
      if (!hasWaiters || !this.#hasLogin || this.#isClearedForGood(state)) return undefined;
      return { cause: 'absent', snapshot: undefined };
    }
    if (state.type === 'expired')
      return { cause: 'expired', snapshot: state.previous, reason: undefined };
    if (state.type !== 'present') return undefined;
    const { snapshot } = state;
    if (this.#isRejected(snapshot))
      return { cause: 'rejected', snapshot, reason: this.#rejected?.reason };
    // A waiter without an answer, although the credentials are valid, needs them for longer.
    if (!hasWaiters && !isDue(snapshot)) return undefined;
    return { cause: 'expiring', snapshot, reason: undefined };
  }

  /** Whether the credentials came after the waiter, which is then no reason to replace them. */
  #isNewer(waiter: Waiter<T>): boolean {
    const { present } = this;
    if (present === undefined || this.#isRejected(present)) return false;
    return waiter.startedWith !== undefined && waiter.startedWith !== (digestOf(present) ?? null);
  }

  #isClearedForGood(state: CredentialState<T>): boolean {
    const { clock } = this.#internals.backend;
    return this.#stays && this.#isAbsent(state) && clock.monotonic() < this.#clearedUntil;
  }

  /** Whether the key holds anything. */
  #isStored(state: CredentialState<T>): boolean {
    if (state.type === 'expired') return !bytesGone(this.#internals.live.known);
    return state.type === 'present' || state.type === 'unreadable';
  }

  /** Whether no credential is stored; bytes that the TTL removed after their end count as absent. */
  #isAbsent(state: CredentialState<T>): boolean {
    return state.type === 'absent' || bytesGone(this.#internals.live.known);
  }

  #isRejected(snapshot: CredentialSnapshot<T>): boolean {
    return this.#rejected !== undefined && this.#rejected.digest === digestOf(snapshot);
  }
}
