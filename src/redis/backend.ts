import type { AttemptSwap, AttemptView } from '../backend/attempts.js';
import type { Clock } from '../time/clock.js';
import type {
  Backend,
  Observation,
  RemoveRequest,
  Subscriber,
  Subscription,
  SubscriptionTarget,
  WriteRequest,
  Written,
} from '../backend/backend.js';
import { OptionSharing } from '../util/option-sharing.js';
import { encodeAnnouncement, type Announcement } from './commands/announcement.js';
import { swapAttempt } from './commands/attempt-swap.js';
import type { CommandSession } from './commands/channel.js';
import { ClientPool } from './client-pool.js';
import { ClearEnds } from './servers/clear-ends.js';
import { ownPrefix } from '../util/option-checks.js';
import type { RedisSettings } from './connection-options.js';
import type { RedisClient } from './client/template.js';
import type { Publication } from './commands/writes/transaction.js';

/**
 * The access to Redis that all stores with equal settings share; the connections behind it are shared with the other stores on the same
 * client.
 */
export class RedisBackend implements Backend {
  readonly #pool: ClientPool;
  readonly #settings: RedisSettings;
  readonly name: string;
  readonly ownPrefix: string;
  readonly sharing: OptionSharing = new OptionSharing();
  readonly #clearEnds: ClearEnds;

  private constructor(pool: ClientPool, settings: RedisSettings, name: string) {
    this.#pool = pool;
    this.#settings = settings;
    this.name = name;
    this.ownPrefix = ownPrefix(settings.namespace);
    this.#clearEnds = new ClearEnds(pool.servers, pool.clock, pool.template.type === 'cluster');
  }

  /** @throws InvalidOptionError */
  static acquire(redis: RedisClient | string, settings: RedisSettings, name: string): Backend {
    const connect = (pool: ClientPool): Backend => new RedisBackend(pool, settings, name);
    return ClientPool.acquire(redis, settings, name, connect);
  }

  get instance(): string {
    return this.#pool.instance;
  }

  get clock(): Clock {
    return this.#pool.clock;
  }

  get replyTimeoutMs(): number {
    return this.#settings.replyTimeoutMs;
  }

  get random(): () => number {
    return this.#settings.random;
  }

  subscribe(to: SubscriptionTarget, subscriber: Subscriber): Subscription {
    return this.#pool.servers.feed.subscribe(to, subscriber);
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
      return session.writer.set(request, publication).then(({ announced, misplaced }) => {
        this.#setCanAnnounce(session, publication, announced);
        const { key, wanted } = request;
        // The script waits for the move of the slot, which a write need not.
        if (misplaced) void this.endClear(key);
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
    const { hasTombstone, ...result } = await servers.withSession(key, async (session) => {
      const publication = this.#publication('cleared', request, session);
      const removal = await session.writer.remove(request, publication);
      this.#setCanAnnounce(session, publication, removal.announced);
      return removal;
    });
    if (!hasTombstone)
      await servers
        .withSession(key, ({ writer }) => writer.storeTombstone(key))
        .catch(() => undefined);
    return result;
  }

  swap(request: AttemptSwap): Promise<AttemptView | 'swapped'> {
    return this.#pool.servers.withSession(request.key, async (session) => {
      const kind = request.change?.announce;
      const target = { key: request.key, reason: undefined };
      const publication = kind && this.#publication(kind, target, session);
      const { names } = this.#pool;
      const reply = await swapAttempt(session.connection, request, names, publication);
      if ('version' in reply) return reply;
      if (kind !== undefined) this.#setCanAnnounce(session, publication, reply.announced);
      return 'swapped';
    });
  }

  endClear(key: string, storedAt?: number): Promise<void> {
    return this.#clearEnds.add(key, storedAt);
  }

  close(timeoutMs: number): Promise<void> {
    return this.#pool.release(this.#settings, this.name, timeoutMs);
  }

  #publication(
    kind: Announcement['kind'],
    { key, reason }: { readonly key: string; readonly reason: string | undefined },
    { canAnnounce, refusedAt }: CommandSession,
  ): Publication | undefined {
    // The permission may have been granted since then, but a test with every write would double the commands.
    if (!canAnnounce && this.clock.monotonic() - refusedAt < this.#settings.probeMs)
      return undefined;
    const { instance, names, template } = this.#pool;
    const at = this.clock.now();
    return {
      channel: names.announcements(template.db, key),
      message: encodeAnnouncement({ kind, instance, name: this.name, at, reason }),
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
