import type { Hint } from '../../backend/backend.js';
import type { Labels } from '../../credential/state.js';

type Removal = Extract<Hint, { type: 'removed' }>;
type Write = Extract<Hint, { type: 'written' }>;

/**
 * Keeps the last hint of each kind until an observation has used it to label its change. Two hints are kept at most, no matter how many come.
 */
export class HintLabels {
  /** The last proof of the link before the first hint that no reading has explained: later proofs say nothing of the entry. */
  #provenAt: number | undefined;
  /** The same for the first hint that the observation under way does not cover. */
  #uncoveredAt: number | undefined;
  #count = 0;
  #covered = 0;
  /** The number of own writes with an announcement but no reply yet. */
  #announced = 0;
  #write: { readonly hint: Write; readonly at: number } | undefined;
  #removal:
    | {
        readonly hint: Removal;
        readonly at: number;
        /** The instant of the first such hint that no observation has explained, and of the last one. */
        readonly firstHeardAt: number;
        readonly heardAt: number;
      }
    | undefined;

  /** The monotonic instant up to which the entry is known to be unchanged; `undefined` while no hint waits for a reading. */
  get provenAt(): number | undefined {
    return this.#provenAt;
  }

  /** The monotonic instant of the first hint at a removal that no reading has explained. */
  get removalHeardAt(): number | undefined {
    return this.#removal?.firstHeardAt;
  }

  /** The observation under way covers all hints so far. */
  covered(): void {
    this.#covered = this.#count;
    this.#uncoveredAt = undefined;
  }

  /** Whether all hints are covered. */
  get empty(): boolean {
    return this.#write === undefined && this.#removal === undefined;
  }

  /**
   * @param provenAt - the monotonic instant of the last proof of the link
   * @param heardAt - the monotonic instant of the hint
   */
  note(hint: Hint, provenAt: number, heardAt: number): void {
    this.#count += 1;
    this.#provenAt ??= provenAt;
    this.#uncoveredAt ??= provenAt;
    if (hint.origin === 'self') this.#announced += 1;
    if (hint.type === 'written') this.#write = { hint, at: this.#count };
    else
      this.#removal = {
        hint,
        at: this.#count,
        firstHeardAt: this.#removal?.firstHeardAt ?? heardAt,
        heardAt,
      };
  }

  /** An own write got its reply. If its announcement has come, it keeps its place among the hints, and a later hint stays the last. */
  noteAnswer(own: Hint, provenAt: number, heardAt: number): void {
    const announced = this.#announced;
    if (announced <= 0) this.note(own, provenAt, heardAt);
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
    const removal = this.#removal;
    if (removal !== undefined)
      this.#removal =
        removal.at <= this.#covered ? undefined : { ...removal, firstHeardAt: removal.heardAt };
    this.#provenAt = this.#uncoveredAt;
  }
}
