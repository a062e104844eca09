import type { Observation } from '../backend/backend.js';
import { RefusedError, UnreadableError } from '../errors.js';
import type { WatchedEntry } from '../watching/watched.js';

/** SET and DEL take a list or a hash away without a word; a key that holds one was surely not meant. */
export class KeyTypeCheck<T> {
  readonly #live: WatchedEntry<T>;
  readonly #observe: () => Promise<Observation>;
  /** The key was seen to be free or to hold a string. */
  #checked = false;

  constructor(live: WatchedEntry<T>, observe: () => Promise<Observation>) {
    this.#live = live;
    this.#observe = observe;
  }

  /**
   * @param again - looks also at a key that was looked at before
   * @returns whether the key holds a string that is too large to be fetched
   * @throws UnreadableError when it holds another type, UnavailableError, ClosedError
   */
  check(again = false): boolean | Promise<boolean> {
    const { state } = this.#live;
    const seen = state.type === 'unreadable' ? state.error : undefined;
    // What was seen may be over by now; a type that forbids the write is looked for anew.
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
      // Who may write but not read writes unseen.
      if (!(error instanceof RefusedError)) throw error;
      this.#checked = true;
      return false;
    }
  }
}
