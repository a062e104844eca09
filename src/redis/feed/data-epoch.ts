import { replyOk } from '../reply-parser.js';
import type { Clock } from '../../time/clock.js';
import type { RedisSettings } from '../connection-options.js';
import type { Content } from '../../credential/content.js';
import { replyWord } from '../reply-errors.js';
import type { CommandChannel } from '../commands/channel.js';

/** After a replacement the next one is reported so many heartbeats later, twice as many after each, up to the period of probes. */
const FIRST_PAUSE_BEATS = 2;

export interface DataEpochContext {
  readonly connectionSettings: { readonly clock: Pick<Clock, 'monotonic'> };
  readonly settings: () => Pick<RedisSettings, 'heartbeatMs' | 'probeMs' | 'random'>;
  readonly commands: CommandChannel;
  readonly newName: () => string;
  /** Names a key of our own on this server; `undefined` where no name is known. */
  readonly ownKey: (kind: 'epoch') => string | undefined;
  /** Whether such a key may be read in one command with any other. */
  readonly readsTogether: boolean;
}

/**
 * Notices that the data of the whole server was replaced (FLUSHALL, SWAPDB, an empty restart) by a key that no client changes: once that
 * key is gone or differs, all other keys may have changed too.
 *
 * Any user of the epoch key may change it, and each change makes all processes read everything. Therefore a report that follows another one
 * is put off, longer each time, by a part of the pause that differs between processes; the rotation and the probe go on meanwhile.
 */
export class DataEpoch {
  readonly #context: DataEpochContext;
  readonly #readAlone: (key: string) => Promise<Content | undefined>;
  readonly #replaced: () => void;
  #due: string | undefined;
  #key: string | undefined;
  #known: string | undefined;
  /** Replaced, and not reported yet. */
  #pending = false;
  #pauseMs = 0;
  /** No report before this instant. Monotonic. */
  #notBefore = -Infinity;
  /** The epoch key that this user may not write. */
  #refused: string | undefined;

  /**
   * @param readAlone - reads the epoch key; must not reject
   * @param replaced - called when the data may have been replaced since the last call
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

  /** Requests a reading of the epoch key: together with the next reading of another key where possible, else now. */
  request(): void {
    const key = this.#context.ownKey('epoch');
    if (key === undefined) return;
    if (this.#context.readsTogether) this.#due = key;
    else
      void this.#readAlone(key).then((content) => {
        if (content?.type === 'absent') this.compare(key, null);
        else if (content?.type === 'bytes') this.compare(key, String(content.bytes));
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
    // A server of a cluster that lost the slot of the one key has another key.
    if (key !== this.#key) this.#known = undefined;
    this.#key = key;
    const replaced = this.#known !== undefined && this.#known !== found;
    this.#known = found ?? undefined;
    if (found === null && key !== this.#refused) void this.#create(key);
    if (replaced) this.#pending = true;
    this.#report();
  }

  /** Called with every reading, at least once a heartbeat, so that no timer is needed. */
  #report(): void {
    const now = this.#context.connectionSettings.clock.monotonic();
    if (!this.#pending || now < this.#notBefore) return;
    const { heartbeatMs, probeMs, random } = this.#context.settings();
    const isFirst = now - this.#notBefore > Math.max(heartbeatMs, probeMs);
    const most = Math.max(heartbeatMs, probeMs);
    this.#pauseMs = isFirst ? FIRST_PAUSE_BEATS * heartbeatMs : Math.min(2 * this.#pauseMs, most);
    this.#notBefore = now + this.#pauseMs * (0.5 + random() / 2);
    this.#pending = false;
    this.#replaced();
  }

  /** A user without write permission does without an epoch key. */
  async #create(key: string): Promise<void> {
    const name = this.#context.newName();
    try {
      const { connection } = await this.#context.commands.get();
      const reply = await connection.call((client) => client.set(key, name, 'NX'), replyOk);
      // Known from now on and not only from the next reading, because the data may be lost again before that.
      if (reply === true && key === this.#key) this.#known = name;
    } catch (error) {
      // Another failure: the next reading finds the key missing and tries again.
      if (replyWord(error) === 'NOPERM') this.#refused = key;
    }
  }
}
