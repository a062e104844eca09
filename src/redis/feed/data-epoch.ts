import type { Content } from '../../credential/content.js';
import type { CommandChannel } from '../commands/channel.js';

export interface DataEpochContext {
  readonly commands: CommandChannel;
  readonly newName: () => string;
  /** Names a key of our own on this server; `undefined` where none can be told. */
  readonly ownKey: (kind: 'epoch') => string | undefined;
  /** Whether such a key may be read in one command with any other. */
  readonly readsTogether: boolean;
}

/**
 * Notices that the data of the whole server was replaced (FLUSHALL, SWAPDB, an empty restart) by a key that nobody changes: when it is gone or
 * another, so may be everything else.
 */
export class DataEpoch {
  readonly #context: DataEpochContext;
  readonly #readAlone: (key: string) => Promise<Content | undefined>;
  readonly #replaced: () => void;
  #due: string | undefined;
  #key: string | undefined;
  #known: string | undefined;

  /**
   * @param readAlone - reads the epoch key; must not reject
   * @param replaced - told when the data may have been replaced since the last time
   */
  constructor(
    context: DataEpochContext,
    readAlone: (key: string) => Promise<Content | undefined>,
    replaced: () => void,
  ) {
    this.#context = context;
    this.#readAlone = readAlone;
    this.#replaced = replaced;
  }

  /** Has the epoch key read: with the next look at another key where that is possible, else now. */
  ask(): void {
    const key = this.#context.ownKey('epoch');
    if (key === undefined) return;
    if (this.#context.readsTogether) this.#due = key;
    else
      void this.#readAlone(key).then((content) => {
        if (content?.type === 'absent') this.take(key, null);
        else if (content?.type === 'bytes') this.take(key, String(content.bytes));
      });
  }

  /** What is to be read with the next look, if anything. */
  takeDue(): string | undefined {
    const due = this.#due;
    this.#due = undefined;
    return due;
  }

  /** Takes in what the epoch key held, `null` for nothing. */
  take(key: string, found: string | null): void {
    // A node of a cluster that has lost the slot of the one key has another.
    if (key !== this.#key) this.#known = undefined;
    this.#key = key;
    const replaced = this.#known !== undefined && this.#known !== found;
    this.#known = found ?? undefined;
    if (found === null) void this.#create(key);
    if (replaced) this.#replaced();
  }

  /** Whoever may not write lives without it. */
  async #create(key: string): Promise<void> {
    const name = this.#context.newName();
    try {
      const { connection } = await this.#context.commands.get();
      const reply = await connection.call((client) => client.set(key, name, 'NX'));
      // Known from now on and not only from the next look: the data may be lost again before that.
      if (reply === 'OK' && key === this.#key) this.#known = name;
    } catch {
      // The next look finds it missing and tries again.
    }
  }
}
