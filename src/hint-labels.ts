import type { Hint } from './credential-backend.js';
import type { Labels } from './credential-state.js';

type Removal = Extract<Hint, { type: 'removed' }>;
type Write = Extract<Hint, { type: 'written' }>;

/**
 * Remembers the last hint of each kind until an observation has used it, so that the change it finds can be labeled.
 * Two hints are all that is kept, however many come.
 */
export class HintLabels {
  #count = 0;
  #write: { readonly hint: Write; readonly at: number } | undefined;
  #removal: { readonly hint: Removal; readonly at: number } | undefined;

  /** How many hints came so far; taken when an observation is issued, given back to {@link HintLabels.used}. */
  get count(): number {
    return this.#count;
  }

  /** Whether all hints are explained. */
  get empty(): boolean {
    return this.#write === undefined && this.#removal === undefined;
  }

  note(hint: Hint): void {
    this.#count += 1;
    if (hint.type === 'written') this.#write = { hint, at: this.#count };
    else this.#removal = { hint, at: this.#count };
  }

  read(): Labels {
    const removal = this.#removal?.hint;
    return {
      write: this.#write?.hint,
      removal: removal && { type: removal.as, origin: removal.origin, reason: removal.reason },
    };
  }

  /**
   * Drops the hints that came before the observation was issued: they are explained now. Later ones may have labeled its change (reading
   * an expired key makes Redis send `expired` afterwards) and still wait for the observation that they caused themselves.
   */
  used(issuedAt: number): void {
    if (this.#write && this.#write.at <= issuedAt) this.#write = undefined;
    if (this.#removal && this.#removal.at <= issuedAt) this.#removal = undefined;
  }
}
