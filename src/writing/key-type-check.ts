import type { Observation } from '../backend/backend.js';
import { RefusedError, UnreadableError } from '../errors.js';
import type { WatchedEntry } from '../watching/watched.js';

/** Refuses to replace a list, hash or other type: SET and DEL remove one without an error, and no caller means that. */
export class KeyTypeCheck<T> {
  readonly #live: WatchedEntry<T>;
  readonly #observe: () => Promise<Observation>;
  /** The key was free or held a string when it was last read. */
  #checked = false;

  constructor(live: WatchedEntry<T>, observe: () => Promise<Observation>) {
    this.#live = live;
    this.#observe = observe;
  }

  /**
   * @param again - reads the key even if it was checked before
   * @returns whether the key holds a string that is too large to be fetched
   * @throws UnreadableError when the key holds another type, UnavailableError, ClosedError
   */
  check(again = false): boolean | Promise<boolean> {
    const { state } = this.#live;
    const seen = state.type === 'unreadable' ? state.error : undefined;
    // The state may be out of date; a type that forbids the write is read again before the write is refused.
    if (this.#checked && !again && seen?.reason !== 'wrong-type')
      return seen?.reason === 'too-large';
    return this.#lookForString();
  }

  async #lookForString(): Promise<boolean> {
    try {
      const { content } = await this.#observe();
      if (content.type === 'foreign' && content.reason === 'wrong-type') {
        throw new UnreadableError(
          'wrong-type',
          'the key holds another Redis type than a string; it is left as it is',
        );
      }
      this.#checked = true;
      return content.type === 'foreign';
    } catch (error) {
      // A user with write but no read permission skips the type check.
      if (!(error instanceof RefusedError)) throw error;
      this.#checked = true;
      return false;
    }
  }
}
