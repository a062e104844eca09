import type { AttemptBackend } from '../backend/attempts.js';
import type { Clock } from '../time/clock.js';
import type {
  Backend,
  HintFeed,
  Observation,
  RemoveRequest,
  WriteRequest,
  Written,
} from '../backend/backend.js';
import { OptionSharing } from '../util/option-sharing.js';
import { encodeAnnouncement } from './commands/announcement.js';
import type { CommandSession } from './commands/channel.js';
import { RedisAttempts } from './attempts/attempts.js';
import { ClientPool } from './client-pool.js';
import { announcementChannel } from './keys.js';
import type { RedisSettings } from './connection-options.js';
import type { RedisClient } from './client/template.js';
import type { Publication } from './commands/transaction.js';

/**
 * The access to Redis that all stores with equal settings share; the connections behind it are shared with the other stores on the same
 * client.
 */
export class RedisBackend implements Backend {
  readonly #pool: ClientPool;
  readonly #settings: RedisSettings;
  readonly sharing: OptionSharing = new OptionSharing();
  #attempts: RedisAttempts | undefined;

  private constructor(pool: ClientPool, settings: RedisSettings) {
    this.#pool = pool;
    this.#settings = settings;
  }

  /** @throws InvalidOptionError */
  static acquire(redis: RedisClient, settings: RedisSettings): Backend {
    return ClientPool.acquire(redis, settings, (pool) => new RedisBackend(pool, settings));
  }

  get instance(): string {
    return this.#pool.instance;
  }

  get clock(): Clock {
    return this.#settings.clock;
  }

  get random(): () => number {
    return this.#settings.random;
  }

  get hints(): HintFeed {
    return this.#pool.servers.feed;
  }

  read(key: string, maxBytes: number): Promise<Observation> {
    return this.#pool.servers.read(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#pool.servers.keys(prefix);
  }

  write(request: WriteRequest): Promise<Written> {
    return this.#pool.servers.withSession(request.key, (session) => {
      const publication = this.#publication('saved', request, session);
      return session.writer.set(request, publication).then((announced) => {
        this.#setCanAnnounce(session, publication, announced);
        const { key, wanted } = request;
        if (wanted === undefined) return { announced };
        return {
          announced,
          replicated: session.replicas.acked(session.connection, key, wanted),
        };
      });
    });
  }

  async remove(request: RemoveRequest): Promise<{ removed: boolean; announced: boolean }> {
    const { servers } = this.#pool;
    const { key } = request;
    const { hasTombstone: marked, ...result } = await servers.withSession(key, async (session) => {
      const publication = this.#publication('cleared', request, session);
      const removal = await session.writer.remove(request, publication);
      this.#setCanAnnounce(session, publication, removal.announced);
      return removal;
    });
    if (!marked)
      await servers
        .withSession(key, ({ writer }) => writer.storeTombstone(key))
        .catch(() => undefined);
    return result;
  }

  get attempts(): AttemptBackend {
    return (this.#attempts ??= new RedisAttempts(this.#pool, this.#settings.replyTimeoutMs));
  }

  close(timeoutMs: number): Promise<void> {
    return this.#pool.release(this.#settings, timeoutMs);
  }

  #publication(
    kind: 'saved' | 'cleared',
    { key, reason }: { readonly key: string; readonly reason: string | undefined },
    { canAnnounce, refusedAt }: CommandSession,
  ): Publication | undefined {
    // The permission may have been granted since, but an attempt with every write would double the commands of each.
    if (!canAnnounce && this.clock.monotonic() - refusedAt < this.#settings.probeMs)
      return undefined;
    const { instance, template } = this.#pool;
    const at = this.clock.now();
    return {
      channel: announcementChannel(template.db, key),
      message: encodeAnnouncement({ kind, node: instance, at, reason }),
    };
  }

  #setCanAnnounce(
    session: CommandSession,
    tried: Publication | undefined,
    announced: boolean,
  ): void {
    if (tried !== undefined) {
      session.canAnnounce = announced;
      if (!announced) session.refusedAt = this.clock.monotonic();
    }
    this.#pool.servers.setCanAnnounce(session.canAnnounce);
  }
}
