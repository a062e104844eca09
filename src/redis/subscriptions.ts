import { forgetChannelNames } from './redis-channel-names.js';
import { isPassing, replyWord } from './redis-errors.js';
import { announcementChannel, keyspaceChannel } from './redis-keys.js';
import type { RedisLink } from './redis-link.js';
import type { Hearing, WatchedKey } from './watched-keys.js';

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
  async listen(watched: readonly WatchedKey[]): Promise<void> {
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
  async regain(watched: Iterable<WatchedKey>): Promise<WatchedKey[]> {
    const refused = [...watched].filter(({ heard }) => heard !== undefined && heard !== 'both');
    const sample = refused[Math.floor(Math.random() * refused.length)];
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
  async leave({ key, heard }: WatchedKey): Promise<void> {
    const channels = [
      ...(heard === 'both' || heard === 'keyspace' ? [keyspaceChannel(this.#db, key)] : []),
      ...(heard === 'both' || heard === 'announcements'
        ? [announcementChannel(this.#db, key)]
        : []),
    ];
    if (channels.length > 0) await this.#link.call((client) => client.unsubscribe(...channels));
  }

  /** Says for each channel whether it is subscribed to. */
  async #subscribe(channels: readonly string[]): Promise<boolean[]> {
    try {
      await this.#link.call((client) => client.subscribe(...channels));
      return channels.map(() => true);
    } catch (error) {
      const word = replyWord(error);
      if (word === undefined || word === 'NOAUTH' || isPassing(word)) throw error;
      // One refused name refuses the whole command.
      if (channels.length === 1) return [false];
      const each = await Promise.all(channels.map((channel) => this.#subscribe([channel])));
      return each.flat();
    }
  }
}

function hearing(keyspace: boolean | undefined, announcements: boolean | undefined): Hearing {
  if (keyspace) return announcements ? 'both' : 'keyspace';
  return announcements ? 'announcements' : 'neither';
}
