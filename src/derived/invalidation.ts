/**
 * What keeps a cache true; made by `invalidate`.
 *
 * @public
 */
export interface Invalidation extends Disposable {
  /**
   * Call it before reading the credential that an entry is made from. It returns a function that says whether an entry made since may be
   * kept: the same credential is still there and vouched for, and nothing was invalidated meanwhile.
   *
   * @example
   * ```ts
   * import type { Invalidation } from 'credstream';
   *
   * async function cached(answers: Map<string, string>, kept: Invalidation, ask: () => Promise<string>): Promise<string> {
   *   const stillTrue = kept.guard();
   *   const answer = await ask();
   *   if (stillTrue()) answers.set('answer', answer);
   *   return answer;
   * }
   * ```
   */
  guard(): () => boolean;

  /** Stops watching and removing, also removals that are still to be tried again. Entries stay as they are. Idempotent. */
  close(): void;
}
