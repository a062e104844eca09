import type { AttemptRecord } from '../backend/attempts.js';
import { digestOf, withdrawalOf, type CredentialSnapshot } from '../credential/snapshot.js';
import { bytesGone, snapshotOf, type CredentialState } from '../credential/state.js';
import type { CredentialChange } from '../credential/change.js';
import { ReauthenticationError } from '../errors.js';
import type { StoreInternals } from '../stores/store-internals.js';
import type { Waiter } from './waiters.js';
import type { RenewalReason } from './attempt-context.js';
import type { ResolvedReauthenticatorOptions } from './options.js';

/** What a snapshot's signal aborts with when the credentials were rejected. */
interface Rejection {
  readonly type: 'rejected';
  readonly id: string;
  readonly reason: string | undefined;
}

/** How the one credential stands: what is known of it beyond its state, and what follows for those who want it. */
export class CredentialAssessment<T> {
  readonly #internals: StoreInternals<T>;
  readonly #stays: boolean;
  /** Counts the credentials that were seen. */
  #generation = 0;
  /** Names the bytes that were seen last. */
  #digest: string | undefined;
  #fatal: AttemptRecord | undefined;
  #rejected: { readonly digest: string; readonly reason: string | undefined } | undefined;
  /** The credential was cleared, and is. */
  #isCleared = false;
  /** It was there until then, and was lost in another way. */
  #lostAt: number | undefined;
  #wasEvicted = false;

  constructor(
    parts: StoreInternals<T>,
    { whenCleared }: Pick<ResolvedReauthenticatorOptions<T>, 'whenCleared'>,
  ) {
    this.#internals = parts;
    this.#stays = whenCleared === 'stay';
  }

  get state(): CredentialState<T> {
    return this.#internals.live.state;
  }

  get present(): CredentialSnapshot<T> | undefined {
    const { state } = this;
    return state.type === 'present' ? state.snapshot : undefined;
  }

  /** The attempt that failed for good. */
  get fatal(): AttemptRecord | undefined {
    return this.#fatal;
  }

  /** Changes when new credentials are seen: what was asked about those before is of no use then. */
  get generation(): number {
    return this.#generation;
  }

  get wasEvicted(): boolean {
    return this.#wasEvicted;
  }

  /** What Redis remembers of clears before this instant does not matter: the credential was stored since. */
  get clearedBefore(): number | undefined {
    return this.#stays ? this.#lostAt : Infinity;
  }

  changed(change: CredentialChange<T>): void {
    // Data that was lost as a whole looks like a clear that nobody made; then the mark in Redis tells.
    if (change.type === 'cleared') this.#isCleared = change.origin !== 'unknown';
    this.#lostAt = lossIn(change);
    this.#wasEvicted = change.type === 'evicted';
    // The same bytes, stored again, are new ones too.
    if (change.type === 'saved') this.#digest = undefined;
  }

  failed(record: AttemptRecord): void {
    this.#fatal = record;
  }

  wasCleared(): void {
    this.#isCleared = true;
  }

  /** Takes in what is stored now; says which attempt's failure, if any, and which clear are over because of it. */
  replaced(): { readonly id: string } | undefined {
    const { state } = this;
    const held = state.type === 'withheld' ? undefined : snapshotOf(state);
    const digest = held && digestOf(held);
    if (digest === undefined || digest === this.#digest || this.#isAbsent(state)) return undefined;
    this.#digest = digest;
    this.#generation += 1;
    const over = { id: this.#fatal?.id ?? '' };
    const isOver = this.#fatal !== undefined || this.#isCleared;
    this.#fatal = undefined;
    this.#rejected = undefined;
    this.#isCleared = false;
    return isOver ? over : undefined;
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

  /** Says whether it was the current one. */
  reject(digest: string, reason: string | undefined): boolean {
    const held = this.present;
    if (held === undefined || digestOf(held) !== digest) return false;
    if (this.#rejected?.digest === digest) return true;
    this.#rejected = { digest, reason };
    const rejection: Rejection = { type: 'rejected', id: this.#internals.id, reason };
    withdrawalOf(held)?.withdraw(rejection);
    return true;
  }

  /** Gives a demand what can be said by now, if anything. */
  answer(demand: Waiter<T>): void {
    const { state } = this;
    const good = this.valid(demand.minValidityMs);
    if (good !== undefined) demand.resolve(good);
    else if (state.type === 'unreadable') demand.reject(state.error);
    else if (this.#isNewer(demand)) {
      demand.reject(
        new ReauthenticationError('short-lived', 'the new credentials end before minValidityMs'),
      );
    } else if (this.#fatal !== undefined) {
      const { oauthError } = this.#fatal;
      const why = oauthError === undefined ? '' : ` (${oauthError})`;
      demand.reject(
        new ReauthenticationError('fatal', `re-authentication failed for good${why}`, oauthError),
      );
    } else if (this.#isClearedForGood(state)) {
      demand.reject(new ReauthenticationError('cleared', 'the credentials were cleared'));
    }
  }

  /**
   * What there should be new credentials for, if anything.
   *
   * @param demanded - somebody waits
   * @param isDue - the end of these comes near
   */
  reasonToRenew(
    demanded: boolean,
    isDue: (snapshot: CredentialSnapshot<T>) => boolean,
  ): RenewalReason<T> | undefined {
    const { state } = this;
    if (this.#isAbsent(state)) {
      if (!demanded || this.#isClearedForGood(state)) return undefined;
      const cause = this.#isCleared ? 'cleared' : 'absent';
      return { cause, snapshot: undefined, reason: undefined };
    }
    if (state.type === 'expired')
      return { cause: 'expired', snapshot: state.previous, reason: undefined };
    if (state.type !== 'present') return undefined;
    const { snapshot } = state;
    if (this.#isRejected(snapshot))
      return { cause: 'rejected', snapshot, reason: this.#rejected?.reason };
    // Whoever still waits, although there are credentials, needs them for longer.
    if (!demanded && !isDue(snapshot)) return undefined;
    return { cause: 'expiring', snapshot, reason: undefined };
  }

  /** Credentials that came after the demand will not be replaced because of it. */
  #isNewer(demand: Waiter<T>): boolean {
    const { present } = this;
    if (present === undefined || this.#isRejected(present)) return false;
    return demand.startedWith !== undefined && demand.startedWith !== (digestOf(present) ?? null);
  }

  #isClearedForGood(state: CredentialState<T>): boolean {
    return this.#stays && this.#isCleared && this.#isAbsent(state);
  }

  /** Bytes that the TTL took after their end are gone like any other. */
  #isAbsent(state: CredentialState<T>): boolean {
    return state.type === 'absent' || bytesGone(this.#internals.live.known);
  }

  #isRejected(snapshot: CredentialSnapshot<T>): boolean {
    return this.#rejected !== undefined && this.#rejected.digest === digestOf(snapshot);
  }
}

/** Until when a credential was there that was lost without anybody wanting it. */
function lossIn<T>(change: CredentialChange<T>): number | undefined {
  if (change.type === 'expired') return change.expiresAt ?? change.at;
  return change.type === 'evicted' ? change.at : undefined;
}
