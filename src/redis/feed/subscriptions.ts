import type { Redis } from 'ioredis';
import { forgetChannelNames } from '../client/channel-names.js';
import { isPassing, replyWord } from '../reply-errors.js';
import { announcementChannel, keyspaceChannel } from '../keys.js';
import type { RedisLink } from '../connection/connection.js';
import { WatchedKey, WatchedPrefix, type AnyWatched, type Hearing } from './subscribers.js';

/** Names in one SUBSCRIBE; a longer command would only delay what is behind it. */
const BATCH = 500;

/** What is subscribed to on one link. A channel that Redis refuses is done without; the other one may be allowed. */
export class Subscriptions {
  readonly #link: RedisLink;
  readonly #db: number;

  constructor(link: RedisLink, db: number) {
    this.#link = link;
    this.#db = db;
    forgetChannelNames(link.client);
  }

  /** Resolves when Redis has confirmed; sets what is heard of each key. @throws LinkLostError, or a passing error reply */
  async listen(watched: readonly AnyWatched[]): Promise<void> {
    const prefixes = watched.filter((one) => one instanceof WatchedPrefix);
    const keys = watched.filter((one) => one instanceof WatchedKey);
    await Promise.all([this.#listenToKeys(keys), ...prefixes.map((one) => this.#listenBelow(one))]);
  }

  async #listenToKeys(watched: readonly WatchedKey[]): Promise<void> {
    for (let from = 0; from < watched.length; from += BATCH) {
      const batch = watched.slice(from, from + BATCH);
      const [keyspace, announcements] = await Promise.all([
        this.#subscribe(batch.map(({ key }) => keyspaceChannel(this.#db, key))),
        this.#subscribe(batch.map(({ key }) => announcementChannel(this.#db, key))),
      ]);
      for (const [index, one] of batch.entries()) {
        one.heard = hearing(keyspace[index], announcements[index]);
      }
    }
  }

  /**
   * Tries again what was refused: rights may have been granted since. One key stands for all of them, or thousands that stay refused would
   * all be asked for again and again.
   *
   * @returns the keys of which more is heard now
   * @throws LinkLostError, or a passing error reply
   */
  async regain(watched: Iterable<AnyWatched>, random: () => number): Promise<AnyWatched[]> {
    const refused = [...watched].filter(({ heard }) => heard !== undefined && heard !== 'both');
    const sample = refused[Math.floor(random() * refused.length)];
    if (sample === undefined) return [];
    const before = sample.heard;
    await this.listen([sample]);
    if (sample.heard === before) return [];
    await this.listen(refused);
    // Their last watcher may have left meanwhile.
    for (const one of refused) if (one.watchers.length === 0) await this.leave(one);
    return refused;
  }

  /** Best effort: what still comes for the key finds no watcher. */
  async leave(watched: AnyWatched): Promise<void> {
    const { heard } = watched;
    const isPrefix = watched instanceof WatchedPrefix;
    const name = isPrefix ? `${watched.glob}*` : watched.key;
    const channels = [
      ...(heard === 'both' || heard === 'keyspace' ? [keyspaceChannel(this.#db, name)] : []),
      ...(heard === 'both' || heard === 'announcements'
        ? [announcementChannel(this.#db, name)]
        : []),
    ];
    if (channels.length === 0) return;
    await this.#link.call((client) =>
      isPrefix ? client.punsubscribe(...channels) : client.unsubscribe(...channels),
    );
  }

  async #listenBelow(watched: WatchedPrefix): Promise<void> {
    const name = `${watched.glob}*`;
    const [keyspace, announcements] = await Promise.all(
      [keyspaceChannel(this.#db, name), announcementChannel(this.#db, name)].map((pattern) =>
        this.#tryTo((client) => client.psubscribe(pattern)),
      ),
    );
    watched.heard = hearing(keyspace, announcements);
  }

  /** Says for each channel whether it is subscribed to. */
  async #subscribe(channels: readonly string[]): Promise<boolean[]> {
    const done = await this.#tryTo((client) => client.subscribe(...channels));
    if (done || channels.length === 1) return channels.map(() => done);
    // One refused name refuses the whole command.
    const each = await Promise.all(channels.map((channel) => this.#subscribe([channel])));
    return each.flat();
  }

  /** Says whether Redis let it be done. */
  async #tryTo(send: (client: Redis) => Promise<unknown>): Promise<boolean> {
    try {
      await this.#link.call(send);
      return true;
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
      return false;
    }
  }
}

function hearing(keyspace: boolean | undefined, announcements: boolean | undefined): Hearing {
  if (keyspace) return announcements ? 'both' : 'keyspace';
  return announcements ? 'announcements' : 'neither';
}
