import type { Hint } from '../../backend/backend.js';
import type { Labels } from '../../credential/state.js';

type Removal = Extract<Hint, { type: 'removed' }>;
type Write = Extract<Hint, { type: 'written' }>;

/**
 * Keeps the last hint of each kind until an observation has used it to label its change. Two hints are kept at most, no matter how many come.
 */
export class HintLabels {
  #count = 0;
  #covered = 0;
  /** The number of own writes with an announcement but no reply yet. */
  #announced = 0;
  #write: { readonly hint: Write; readonly at: number } | undefined;
  #removal: { readonly hint: Removal; readonly at: number } | undefined;

  /** The observation under way covers all hints so far. */
  covered(): void {
    this.#covered = this.#count;
  }

  /** Whether all hints are covered. */
  get empty(): boolean {
    return this.#write === undefined && this.#removal === undefined;
  }

  note(hint: Hint): void {
    this.#count += 1;
    if (hint.origin === 'self') this.#announced += 1;
    if (hint.type === 'written') this.#write = { hint, at: this.#count };
    else this.#removal = { hint, at: this.#count };
  }

  /** An own write got its reply. If its announcement has come, it keeps its place among the hints, and a later hint stays the last. */
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
   * Drops the hints that the observation covered. Later hints may have labeled its change (a reading of an expired key makes Redis send
   * `expired` afterwards), and still wait for their own observation.
   */
  used(): void {
    if (this.#write && this.#write.at <= this.#covered) this.#write = undefined;
    if (this.#removal && this.#removal.at <= this.#covered) this.#removal = undefined;
  }
}
