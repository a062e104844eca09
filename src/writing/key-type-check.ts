import type { Observation } from '../backend/backend.js';
import { RefusedError, UnreadableError } from '../errors.js';
import type { WatchedEntry } from '../watching/watched.js';

/** Refuses to replace a list, hash or other type: SET and DEL remove one without an error, and no caller means that. */
export class KeyTypeCheck<T> {
  readonly #entry: WatchedEntry<T>;
  readonly #read: () => Promise<Observation>;
  /** The key was free or held a string when it was last read. */
  #checked = false;

  constructor(entry: WatchedEntry<T>, read: () => Promise<Observation>) {
    this.#entry = entry;
    this.#read = read;
  }

  /**
   * @param again - reads the key even if it was checked before
   * @returns whether the key holds a string that is too large to be fetched
   * @throws UnreadableError when the key holds another type, UnavailableError, ClosedError
   */
  check(again = false): boolean | Promise<boolean> {
    const { state } = this.#entry;
    const error = state.type === 'unreadable' ? state.error : undefined;
    // The state may be out of date; a type that forbids the write is read again before the write is refused.
    if (this.#checked && !again && error?.reason !== 'wrong-type')
      return error?.reason === 'too-large';
    return this.#readType();
  }

  async #readType(): Promise<boolean> {
    try {
      const { content } = await this.#read();
      if (content.type === 'foreign' && content.reason === 'wrong-type') {
        throw new UnreadableError(
          'wrong-type',
          'the key holds another Redis type than a string, and was left as it is',
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
