import type { Content } from '../../../credential/content.js';
import type { CommandChannel } from '../../commands/channel.js';
import type { HelperNames } from '../../commands/helper-names.js';
import { isCommandRefused, replyWord } from '../../reply-errors.js';
import { replyOk } from '../../reply-parser.js';
import { PacedReport, type PacedReportContext } from './paced-report.js';

/** All that is known of the epoch of one server. It survives the connection. */
export interface KnownEpoch {
  key: string | undefined;
  name: string | undefined;
  /** The epoch key that this user may not write. */
  refused: string | undefined;
}

export function createKnownEpoch(): KnownEpoch {
  return { key: undefined, name: undefined, refused: undefined };
}

export interface DataEpochContext extends PacedReportContext {
  readonly commands: CommandChannel;
  readonly names: Pick<HelperNames, 'unique'>;
  /** Names a key of our own on this server; `undefined` where no name is known. */
  readonly ownKey: (kind: 'epoch') => string | undefined;
  /** Whether such a key may be read in one command with any other. */
  readonly readsTogether: boolean;
  readonly epoch: KnownEpoch;
}

/**
 * Notices that the data of the whole server was replaced (FLUSHALL, SWAPDB, an empty restart) by a key that no client changes: once that
 * key is gone or differs, all other keys may have changed too.
 *
 * Any user of the epoch key may change it, and each change makes all processes read everything. Therefore the reports are paced; the rotation
 * and the probe go on meanwhile.
 */
export class DataEpoch {
  readonly #context: DataEpochContext;
  readonly #readAlone: (key: string) => Promise<Content | 'refused' | undefined>;
  readonly #replaced: PacedReport;
  #due: string | undefined;
  /** The epoch key that this user may not read. */
  #unreadable: string | undefined;
  #preparing: Promise<void> | undefined;

  /**
   * @param readAlone - reads the epoch key; must not reject
   * @param replaced - called when the data may have been replaced since the last call
   */
  constructor(
    context: DataEpochContext,
    readAlone: (key: string) => Promise<Content | 'refused' | undefined>,
    replaced: () => void,
  ) {
    this.#context = context;
    this.#readAlone = readAlone;
    this.#replaced = new PacedReport(context, replaced);
  }

  /**
   * Reads the epoch before any other key, and creates a missing one, so that a loss of data from now on is noticed. Resolves at once the second
   * time; never rejects.
   */
  prepare(): Promise<void> {
    return (this.#preparing ??= this.#prepare());
  }

  /** Requests a reading of the epoch key: together with the next reading of another key where possible, else now. */
  request(): void {
    const key = this.#context.ownKey('epoch');
    if (key === undefined || key === this.#unreadable) return;
    if (this.#context.readsTogether) this.#due = key;
    else
      void this.#read(key).then((found) => {
        if (found !== undefined) this.compare(key, found);
      });
  }

  /** The epoch key that the next reading has to include, if any. */
  takeDue(): string | undefined {
    const due = this.#due;
    this.#due = undefined;
    return due;
  }

  /** Compares the content of the epoch key, `null` for an absent one, with the known one. */
  compare(key: string, found: string | null): void {
    const { epoch } = this.#context;
    const before = epoch.key === key ? epoch.name : undefined;
    this.#keep(key, found);
    if (found === null && key !== epoch.refused) void this.#create(key);
    if (before !== undefined && before !== found) this.#replaced.request();
    else this.#replaced.review();
  }

  async #prepare(): Promise<void> {
    const key = this.#context.ownKey('epoch');
    if (key === undefined) return;
    const found = await this.#read(key);
    if (found === undefined) return;
    this.#keep(key, found);
    if (found !== null || key === this.#context.epoch.refused) return;
    await this.#create(key);
    // Another process may have been first.
    if (this.#context.epoch.name === undefined && key !== this.#context.epoch.refused)
      this.#keep(key, (await this.#read(key)) ?? null);
  }

  async #read(key: string): Promise<string | null | undefined> {
    const content = await this.#readAlone(key);
    if (content === 'refused') this.#unreadable = key;
    return content === 'refused' ? undefined : nameIn(content);
  }

  /** A server of a cluster that lost the slot of the one key has another key. */
  #keep(key: string, found: string | null): void {
    const { epoch } = this.#context;
    epoch.key = key;
    epoch.name = found ?? undefined;
  }

  /** A user without write permission does without an epoch key. */
  async #create(key: string): Promise<void> {
    const { commands, epoch, names } = this.#context;
    const name = names.unique();
    try {
      const { connection } = await commands.get();
      const reply = await connection.call((client) => client.set(key, name, 'NX'), replyOk);
      // Known from now on and not only from the next reading, because the data may be lost again before that.
      if (reply === true && key === epoch.key) epoch.name = name;
    } catch (error) {
      // Another failure: the next reading finds the key missing and tries again.
      if (replyWord(error) === 'NOPERM' || isCommandRefused(error)) epoch.refused = key;
    }
  }
}

/** The name that an epoch key holds, `null` for an absent key; `undefined` where that is not known. */
function nameIn(content: Content | undefined): string | null | undefined {
  if (content?.type === 'absent') return null;
  return content?.type === 'bytes' ? String(content.bytes) : undefined;
}
