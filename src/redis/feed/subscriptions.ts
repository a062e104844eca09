import type { Redis } from 'ioredis';
import { forgetChannelNames } from '../client/channel-names.js';
import { isPassing, replyWord } from '../reply-errors.js';
import { replyCount } from '../reply-parser.js';
import { keyspaceChannel } from '../keys.js';
import type { HelperNames } from '../commands/helper-names.js';
import type { Connection } from '../connection/connection.js';
import type { ChannelKind, MutedChannels } from './hints/muted-channels.js';
import { WatchedPrefix, type SubscribedTo, type WatchedKey } from './watched-keys.js';

const KINDS = ['keyspace', 'announcements'] as const;
/** Names in one SUBSCRIBE; a longer command would only delay the commands behind it. */
const BATCH = 500;

/** The subscriptions on one link. A refused channel is left out; the other one may be permitted. */
export class Subscriptions {
  readonly #connection: Connection;
  readonly #db: number;
  readonly #names: HelperNames;
  readonly #muted: MutedChannels<WatchedKey>;

  constructor(
    connection: Connection,
    db: number,
    names: HelperNames,
    muted: MutedChannels<WatchedKey>,
  ) {
    this.#connection = connection;
    this.#db = db;
    this.#names = names;
    this.#muted = muted;
    forgetChannelNames(connection.client);
  }

  /** Resolves when Redis has confirmed; sets `subscribedTo` of each key. @throws ConnectionLostError, or a passing error reply */
  async subscribe(watched: readonly WatchedKey[]): Promise<void> {
    const alone: WatchedKey[] = [];
    const keys: WatchedKey[] = [];
    for (const one of watched)
      (one instanceof WatchedPrefix || this.#isMuted(one) ? alone : keys).push(one);
    await Promise.all([
      this.#subscribeToKeys(keys),
      ...alone.map((one) => this.#subscribeToUnmuted(one)),
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
      (one) => one.subscribedTo !== undefined && one.subscribedTo !== 'both' && !this.#isMuted(one),
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
  unsubscribe(watched: WatchedKey): Promise<void> {
    return this.#unsubscribe(watched, KINDS);
  }

  /** Leaves a flooded channel. */
  async mute(watched: WatchedKey, kind: ChannelKind): Promise<void> {
    const other = kind === 'keyspace' ? 'announcements' : 'keyspace';
    const left = watched.subscribedTo === 'both' || watched.subscribedTo === other;
    this.#muted.add(watched, kind);
    const leaving = this.#unsubscribe(watched, [kind]);
    watched.subscribedTo = left ? other : 'neither';
    await leaving;
  }

  /** Returns to the channels that were left; returns their keys and prefixes. @throws ConnectionLostError, or a passing error reply */
  async unmute(): Promise<WatchedKey[]> {
    const muted = this.#muted.clear();
    if (muted.length === 0) return [];
    await this.subscribe(muted);
    for (const one of muted) {
      if (one.isAbandoned) await this.unsubscribe(one);
      // It may be flooded again already.
      else for (const kind of KINDS) if (this.#muted.has(one, kind)) await this.mute(one, kind);
    }
    return muted.filter(({ isAbandoned }) => !isAbandoned);
  }

  async #subscribeToUnmuted(watched: WatchedKey): Promise<void> {
    const [keyspace, announcements] = await Promise.all(
      KINDS.map(async (kind) => {
        if (this.#muted.has(watched, kind)) return false;
        const channel = this.#channel(watched, kind);
        return this.#tryTo((client) =>
          watched instanceof WatchedPrefix ? client.psubscribe(channel) : client.subscribe(channel),
        );
      }),
    );
    watched.subscribedTo = subscribedTo(keyspace, announcements);
  }

  #isMuted(watched: WatchedKey): boolean {
    return !this.#muted.isEmpty && KINDS.some((kind) => this.#muted.has(watched, kind));
  }

  #channel(watched: WatchedKey, kind: ChannelKind): string {
    const name = watched instanceof WatchedPrefix ? `${watched.glob}*` : watched.key;
    return kind === 'keyspace'
      ? keyspaceChannel(this.#db, name)
      : this.#names.announcements(this.#db, name);
  }

  async #unsubscribe(watched: WatchedKey, kinds: readonly ChannelKind[]): Promise<void> {
    const channels = kinds
      .filter((kind) => watched.subscribedTo === 'both' || watched.subscribedTo === kind)
      .map((kind) => this.#channel(watched, kind));
    if (channels.length === 0) return;
    await this.#connection.call(
      (client) =>
        watched instanceof WatchedPrefix
          ? client.punsubscribe(...channels)
          : client.unsubscribe(...channels),
      replyCount,
    );
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
