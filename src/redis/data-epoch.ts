import { RESERVED_PREFIX } from '../option-checks.js';
import type { CommandLink } from './command-link.js';

export const EPOCH_KEY: string = `${RESERVED_PREFIX}epoch`;

/**
 * Notices that the data of the whole server was replaced (FLUSHALL, SWAPDB, an empty restart) by a key that nobody changes: when it is gone or
 * another, so may be everything else.
 */
export class DataEpoch {
  readonly #commands: CommandLink;
  readonly #newName: () => string;
  #known: string | undefined;

  constructor(commands: CommandLink, newName: () => string) {
    this.#commands = commands;
    this.#newName = newName;
  }

  /** Takes in what the epoch key held, `null` for nothing; says whether the data may have been replaced since the last time. */
  check(found: string | null): boolean {
    const replaced = this.#known !== undefined && this.#known !== found;
    this.#known = found ?? undefined;
    if (found === null) void this.#create();
    return replaced;
  }

  /** Whoever may not write lives without it. */
  async #create(): Promise<void> {
    const name = this.#newName();
    try {
      const { link } = await this.#commands.get();
      const reply = await link.call((client) => client.set(EPOCH_KEY, name, 'NX'));
      // Known from now on and not only from the next look: the data may be lost again before that.
      if (reply === 'OK') this.#known = name;
    } catch {
      // The next look finds it missing and tries again.
    }
  }
}
