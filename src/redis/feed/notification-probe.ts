import { replyOrRefusal } from '../commands/writes/transaction.js';
import type { CommandChannel } from '../commands/channel.js';
import { replyWord } from '../reply-errors.js';
import { replyCount, replyList, replyOk, replyText } from '../reply-parser.js';
import { keyspaceChannel } from '../keys.js';
import type { Connection } from '../connection/connection.js';

const PROBE_TTL_MS = 1_000;
const PROBE_EVENTS = ['set', 'del'];
/** Strings, generic commands, expiry, eviction; on the channels named after the key. */
const NEEDED_FLAGS = ['K', 'g', '$', 'x', 'e'];
/** `A` stands for all event classes that we need, but not for `K`. */
const ALL_EVENTS = 'A';
/** There are fewer flags than letters. */
const MAX_FLAGS = 64;

/** Finds out by trying whether keyspace notifications arrive: reading the configuration is often forbidden, and proves less. */
export class NotificationProbe {
  readonly #connection: Connection;
  readonly #commands: CommandChannel;
  readonly #db: number;
  readonly #newKey: () => string | undefined;
  #key = '';
  #channel = '';
  #subscribed: Promise<boolean> | undefined;
  /** The events of the probe under way that have not arrived yet. */
  #awaited = new Set<string>();

  /** @param newKey - names a key on this server that is used nowhere else; in a cluster another one when slots have moved */
  constructor(
    connection: Connection,
    commands: CommandChannel,
    db: number,
    newKey: () => string | undefined,
  ) {
    this.#connection = connection;
    this.#commands = commands;
    this.#db = db;
    this.#newKey = newKey;
  }

  /** Takes a message that may belong to the probe; returns whether it did. */
  take(channel: string, event: string): boolean {
    if (channel !== this.#channel) return false;
    this.#awaited.delete(event);
    return true;
  }

  /** @returns whether notifications arrive; `undefined` when this user may not find out, or a link fails or is late */
  async run(): Promise<boolean | undefined> {
    try {
      const key = this.#newKey();
      if (key === undefined) return undefined;
      if (key !== this.#key) this.#subscribed = this.#move(key);
      this.#subscribed ??= this.#subscribe();
      if (!(await this.#subscribed)) {
        // The subscription may be permitted by the next time.
        this.#subscribed = undefined;
        return undefined;
      }
      return await this.#try();
    } catch {
      return undefined;
    }
  }

  /** Adds the missing flags, and returns whether there were any; where that is refused, the probe shows the consequence. */
  async configure(): Promise<boolean> {
    try {
      const { connection } = await this.#commands.get();
      const name = 'notify-keyspace-events';
      const flags = await connection.call((client) => client.config('GET', name), replyFlags);
      const missing = NEEDED_FLAGS.filter(
        (flag) => !flags.includes(flag) && !(flag !== 'K' && flags.includes(ALL_EVENTS)),
      );
      if (missing.length > 0) {
        await connection.call(
          (client) => client.config('SET', name, flags + missing.join('')),
          replyOk,
        );
      }
      return missing.length > 0;
    } catch {
      // Refused or lost; nothing depends on the change.
      return false;
    }
  }

  #move(key: string): Promise<boolean> {
    const left = this.#channel;
    this.#key = key;
    this.#channel = keyspaceChannel(this.#db, key);
    if (left !== '')
      this.#connection
        .call((client) => client.unsubscribe(left), replyCount)
        .catch(() => undefined);
    return this.#subscribe();
  }

  async #subscribe(): Promise<boolean> {
    try {
      await this.#connection.call((client) => client.subscribe(this.#channel), replyCount);
      return true;
    } catch (error) {
      if (replyWord(error) === undefined) throw error;
      return false;
    }
  }

  async #try(): Promise<boolean> {
    const { connection } = await this.#commands.get();
    this.#awaited = new Set(PROBE_EVENTS);
    // A write and a removal belong to different event classes; either can be switched off alone.
    await connection.call(
      (client) => client.pipeline().set(this.#key, '1', 'PX', PROBE_TTL_MS).del(this.#key).exec(),
      replyProbe,
    );
    // The events were pushed before the reply to this command: after it nothing has to be waited for.
    await this.#connection.call((client) => client.subscribe(this.#channel), replyCount);
    return this.#awaited.size === 0;
  }
}

/** The flags of CONFIG GET; none where the parameter is unknown. @throws MalformedReplyError */
function replyFlags(reply: unknown): string {
  const parts = replyList(reply);
  return parts.length === 0 ? '' : replyText(replyList(parts, 2)[1], MAX_FLAGS);
}

/** A user that may not write or remove the key cannot find out. @throws MalformedReplyError, or an error reply of Redis */
function replyProbe(reply: unknown): void {
  const [set, removed] = replyList(reply, 2).map(replyOrRefusal);
  for (const one of [set, removed]) if (one instanceof Error) throw one;
  replyOk(set);
  replyCount(removed);
}
