import { digestOf, type CredentialSnapshot } from '../credential/snapshot.js';
import type { Deadline } from '../time/deadlines.js';
import type { WatchedEntry } from '../watching/watched.js';
import type { ResolvedReauthenticatorOptions } from './options.js';

type LeadOptions = Pick<ResolvedReauthenticatorOptions<unknown>, 'lead' | 'jitter'>;

/** The instant of the renewal: the lead before the end of a credential, but never before half of its lifetime at the first observation. */
export class RenewalSchedule<T> {
  readonly #live: WatchedEntry<T>;
  readonly #options: LeadOptions;
  readonly #random: () => number;
  readonly #due: () => void;
  /** The digest of the bytes that `#leadMs` belongs to. */
  #digest: string | undefined;
  #leadMs = 0;
  #snapshot: CredentialSnapshot<T> | undefined;
  #deadline: Deadline | undefined;
  #isDue = false;

  /** @param due - called when the credential is due for renewal */
  constructor(live: WatchedEntry<T>, options: LeadOptions, random: () => number, due: () => void) {
    this.#live = live;
    this.#options = options;
    this.#random = random;
    this.#due = due;
  }

  isDue(snapshot: CredentialSnapshot<T>): boolean {
    return this.#snapshot === snapshot && this.#isDue;
  }

  follow(snapshot: CredentialSnapshot<T> | undefined): void {
    if (snapshot === this.#snapshot) return;
    this.cancel();
    this.#snapshot = snapshot;
    const end = snapshot?.expiresAt;
    if (snapshot === undefined || end === undefined) return;
    const digest = digestOf(snapshot);
    if (digest !== this.#digest) {
      this.#digest = digest;
      this.#leadMs = this.#leadFor(end);
    }
    this.#deadline = this.#live.at(end - this.#leadMs, () => {
      this.#isDue = true;
      this.#due();
    });
  }

  cancel(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#snapshot = undefined;
    this.#isDue = false;
  }

  #leadFor(end: number): number {
    const { lead, jitter } = this.#options;
    const lifetimeMs = Math.max(0, end - this.#live.serverNow());
    const leadMs = 'ms' in lead ? lead.ms : lead.fraction * lifetimeMs;
    // The jitter lets instances begin one after the other: usually the first has finished before the next requests the lease.
    return Math.min(leadMs, lifetimeMs / 2) * (1 - jitter * this.#random());
  }
}
