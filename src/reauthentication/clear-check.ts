import type { AttemptContext } from './attempt-context.js';
import type { CredentialAssessment } from './assessment.js';

/**
 * Asks Redis whether an absent credential was cleared: only the tombstone tells a logout from a removal by other means. The answer to a
 * request for the lease tells it too; this question serves waiters while an attempt is under way, or while no attempt may start.
 */
export class ClearCheck<T> {
  readonly #context: AttemptContext<T>;
  readonly #assessment: CredentialAssessment<T>;
  readonly #cleared: () => void;
  /** The monotonic instant of the last question. */
  #askedAt = -Infinity;

  /** @param cleared - called when the assessment has learned of a clear */
  constructor(
    context: AttemptContext<T>,
    assessment: CredentialAssessment<T>,
    cleared: () => void,
  ) {
    this.#context = context;
    this.#assessment = assessment;
    this.#cleared = cleared;
  }

  /** The credential changed: the last answer is out of date. */
  reset(): void {
    this.#askedAt = -Infinity;
  }

  /** Asks, unless the answer is known already, or the last one is recent. */
  ask(): void {
    const { attempts, internals, options } = this.#context;
    const { clearedBefore, generation, mayBeCleared } = this.#assessment;
    const now = internals.backend.clock.monotonic();
    if (!mayBeCleared || now - this.#askedAt < options.minIntervalMs) return;
    this.#askedAt = now;
    attempts.isCleared(internals.key, clearedBefore).then(
      (isCleared) => {
        if (!isCleared || generation !== this.#assessment.generation) return;
        this.#assessment.wasCleared(options.minIntervalMs);
        this.#cleared();
      },
      () => undefined,
    );
  }
}
