import type { Hint } from '../backend/backend.js';
import type { Labels } from '../credential/state.js';

type Removal = Extract<Hint, { type: 'removed' }>;
type Write = Extract<Hint, { type: 'written' }>;

/**
 * Remembers the last hint of each kind until an observation has used it, so that the change it finds can be labeled.
 * Two hints are all that is kept, however many come.
 */
export class HintLabels {
  #count = 0;
  #covered = 0;
  /** How many more own writes were announced than answered. */
  #announced = 0;
  #write: { readonly hint: Write; readonly at: number } | undefined;
  #removal: { readonly hint: Removal; readonly at: number } | undefined;

  /** The observation that is under way explains all that came so far. */
  covered(): void {
    this.#covered = this.#count;
  }

  /** Whether all hints are explained. */
  get empty(): boolean {
    return this.#write === undefined && this.#removal === undefined;
  }

  note(hint: Hint): void {
    this.#count += 1;
    if (hint.origin === 'self') this.#announced += 1;
    if (hint.type === 'written') this.#write = { hint, at: this.#count };
    else this.#removal = { hint, at: this.#count };
  }

  /** An own write was answered. Where its announcement has come, that has its place among the hints, and what came after it stays the last. */
  noteAnswer(own: Hint): void {
    const announced = this.#announced;
    if (announced <= 0) this.note(own);
    this.#announced = announced - 1;
  }

  read(): Labels {
    const removal = this.#removal?.hint;
    return {
      write: this.#write?.hint,
      removal: removal && { type: removal.as, origin: removal.origin, reason: removal.reason },
    };
  }

  /**
   * Drops the hints that the observation covered: they are explained now. Later ones may have labeled its change (reading
   * an expired key makes Redis send `expired` afterwards) and still wait for the observation that they caused themselves.
   */
  used(): void {
    if (this.#write && this.#write.at <= this.#covered) this.#write = undefined;
    if (this.#removal && this.#removal.at <= this.#covered) this.#removal = undefined;
  }
}
