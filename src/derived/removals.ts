import type { ResolvedInvalidateOptions } from './invalidate-options.js';
import { Removal } from './removal.js';

/** What there is to remove, and how. */
export type Remover =
  | { readonly type: 'all'; readonly clear: () => unknown }
  | {
      readonly type: 'entries';
      readonly keys: () => Iterable<string>;
      readonly remove: (key: string) => unknown;
    };

/** Removes what depends on a credential, each entry for itself, so that one that fails holds up no other. */
export class Removals {
  readonly #options: ResolvedInvalidateOptions;
  readonly #whole: Removal;
  readonly #entries = new Map<string, Removal>();

  constructor(remover: Remover, options: ResolvedInvalidateOptions) {
    this.#options = options;
    this.#whole =
      remover.type === 'all'
        ? new Removal(options, 'clear of a cache', remover.clear)
        : new Removal(options, 'keys of a cache', () => {
            // A copy: removing while iterating confuses some caches.
            for (const key of [...remover.keys()]) this.#entry(key, remover.remove).request();
          });
  }

  request(): void {
    this.#whole.request();
  }

  /** Gives up what is still to be tried again. */
  close(): void {
    this.#whole.close();
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
  }

  #entry(key: string, remove: (key: string) => unknown): Removal {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry = new Removal(
      this.#options,
      'removal from a cache',
      () => remove(key),
      () => {
        this.#entries.delete(key);
      },
    );
    this.#entries.set(key, entry);
    return entry;
  }
}
