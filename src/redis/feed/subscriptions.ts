import type { Redis } from 'ioredis';
import { forgetChannelNames } from '../client/channel-names.js';
import { isPassing, replyWord } from '../reply-errors.js';
import { replyCount } from '../reply-parser.js';
import { keyspaceChannel } from '../keys.js';
import type { HelperNames } from '../commands/helper-names.js';
import type { Connection } from '../connection/connection.js';
import { WatchedPrefix, type SubscribedTo, type WatchedKey } from './watched-keys.js';

/** Names in one SUBSCRIBE; a longer command would only delay the commands behind it. */
const BATCH = 500;

/** The subscriptions on one link. A refused channel is left out; the other one may be permitted. */
export class Subscriptions {
  readonly #connection: Connection;
  readonly #db: number;
  readonly #names: HelperNames;

  constructor(connection: Connection, db: number, names: HelperNames) {
    this.#connection = connection;
    this.#db = db;
    this.#names = names;
    forgetChannelNames(connection.client);
  }

  /** Resolves when Redis has confirmed; sets `subscribedTo` of each key. @throws ConnectionLostError, or a passing error reply */
  async subscribe(watched: readonly WatchedKey[]): Promise<void> {
    const prefixes = watched.filter((one) => one instanceof WatchedPrefix);
    const keys = watched.filter((one) => !(one instanceof WatchedPrefix));
    await Promise.all([
      this.#subscribeToKeys(keys),
      ...prefixes.map((one) => this.#subscribeBelow(one)),
    ]);
  }

  async #subscribeToKeys(watched: readonly WatchedKey[]): Promise<void> {
    for (let from = 0; from < watched.length; from += BATCH) {
      const batch = watched.slice(from, from + BATCH);
      const [keyspace, announcements] = await Promise.all([
        this.#subscribe(batch.map(({ key }) => keyspaceChannel(this.#db, key))),
        this.#subscribe(batch.map(({ key }) => this.#names.announcements(this.#db, key))),
      ]);
      for (const [index, one] of batch.entries()) {
        one.subscribedTo = subscribedTo(keyspace[index], announcements[index]);
      }
    }
  }

  /**
   * Repeats refused subscriptions, because permissions may have been granted since. One key is the sample for all, or thousands of refused
   * keys would be repeated again and again.
   *
   * @returns the keys with more subscriptions than before
   * @throws ConnectionLostError, or a passing error reply
   */
  async retryRefused(watched: Iterable<WatchedKey>, random: () => number): Promise<WatchedKey[]> {
    const refused = [...watched].filter(
      ({ subscribedTo }) => subscribedTo !== undefined && subscribedTo !== 'both',
    );
    const sample = refused[Math.floor(random() * refused.length)];
    if (sample === undefined) return [];
    const before = sample.subscribedTo;
    await this.subscribe([sample]);
    if (sample.subscribedTo === before) return [];
    await this.subscribe(refused);
    // The last subscription to a key may have ended meanwhile.
    for (const one of refused) if (one.isAbandoned) await this.unsubscribe(one);
    return refused;
  }

  /** Best effort: a message that still arrives for the key finds no subscriber. */
  async unsubscribe(watched: WatchedKey): Promise<void> {
    const { subscribedTo } = watched;
    const isPrefix = watched instanceof WatchedPrefix;
    const name = isPrefix ? `${watched.glob}*` : watched.key;
    const channels = [
      ...(subscribedTo === 'both' || subscribedTo === 'keyspace'
        ? [keyspaceChannel(this.#db, name)]
        : []),
      ...(subscribedTo === 'both' || subscribedTo === 'announcements'
        ? [this.#names.announcements(this.#db, name)]
        : []),
    ];
    if (channels.length === 0) return;
    await this.#connection.call(
      (client) => (isPrefix ? client.punsubscribe(...channels) : client.unsubscribe(...channels)),
      replyCount,
    );
  }

  async #subscribeBelow(watched: WatchedPrefix): Promise<void> {
    const name = `${watched.glob}*`;
    const [keyspace, announcements] = await Promise.all(
      [keyspaceChannel(this.#db, name), this.#names.announcements(this.#db, name)].map((pattern) =>
        this.#tryTo((client) => client.psubscribe(pattern)),
      ),
    );
    watched.subscribedTo = subscribedTo(keyspace, announcements);
  }

  /** Returns for each channel whether it is subscribed to. */
  async #subscribe(channels: readonly string[]): Promise<boolean[]> {
    const done = await this.#tryTo((client) => client.subscribe(...channels));
    if (done || channels.length === 1) return channels.map(() => done);
    // One refused name refuses the whole command.
    const each = await Promise.all(channels.map((channel) => this.#subscribe([channel])));
    return each.flat();
  }

  /** Returns whether Redis permitted the command. */
  async #tryTo(send: (client: Redis) => Promise<unknown>): Promise<boolean> {
    try {
      await this.#connection.call(send, replyCount);
      return true;
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
      return false;
    }
  }
}

function subscribedTo(
  keyspace: boolean | undefined,
  announcements: boolean | undefined,
): SubscribedTo {
  if (keyspace) return announcements ? 'both' : 'keyspace';
  return announcements ? 'announcements' : 'neither';
}
