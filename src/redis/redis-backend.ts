import type { AttemptBackend } from '../backend/attempts.js';
import type { Clock } from '../time/clock.js';
import type {
  CredentialBackend,
  HintFeed,
  Observation,
  RemoveRequest,
  WriteRequest,
  Written,
} from '../backend/backend.js';
import { OptionKinds } from '../util/option-sharing.js';
import { encodeAnnouncement } from './commands/announcement.js';
import type { Commanding } from './commands/command-channel.js';
import { RedisAttempts } from './attempts/attempts.js';
import { RedisHub } from './client-pool.js';
import { announcementChannel } from './keys.js';
import type { RedisSettings } from './connection-options.js';
import type { RedisClient } from './client/template.js';
import type { Publication } from './commands/transaction.js';

/** The access to a Redis for all stores that ask for the same; the connections behind it are shared with the others on the same client. */
export class RedisBackend implements CredentialBackend {
  readonly #hub: RedisHub;
  readonly #settings: RedisSettings;
  readonly kinds: OptionKinds = new OptionKinds();
  #attempts: RedisAttempts | undefined;

  private constructor(hub: RedisHub, settings: RedisSettings) {
    this.#hub = hub;
    this.#settings = settings;
  }

  /** @throws InvalidOptionError */
  static join(redis: RedisClient, settings: RedisSettings): CredentialBackend {
    return RedisHub.join(redis, settings, (hub) => new RedisBackend(hub, settings));
  }

  get node(): string {
    return this.#hub.node;
  }

  get clock(): Clock {
    return this.#settings.clock;
  }

  get random(): () => number {
    return this.#settings.random;
  }

  get hints(): HintFeed {
    return this.#hub.nodes.feed;
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#hub.nodes.observe(key, maxBytes);
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#hub.nodes.keys(prefix);
  }

  write(request: WriteRequest): Promise<Written> {
    return this.#hub.nodes.commanding(request.key, (commanding) => {
      const publication = this.#publication('saved', request, commanding);
      return commanding.writing.set(request, publication).then((announced) => {
        this.#learn(commanding, publication, announced);
        const { key, wanted } = request;
        if (wanted === undefined) return { announced };
        return { announced, replicated: commanding.replicas.reached(commanding.link, key, wanted) };
      });
    });
  }

  async remove(request: RemoveRequest): Promise<{ removed: boolean; announced: boolean }> {
    const { nodes } = this.#hub;
    const { key } = request;
    const { marked, ...result } = await nodes.commanding(key, async (commanding) => {
      const publication = this.#publication('cleared', request, commanding);
      const removal = await commanding.writing.remove(request, publication);
      this.#learn(commanding, publication, removal.announced);
      return removal;
    });
    if (!marked)
      await nodes.commanding(key, ({ writing }) => writing.markCleared(key)).catch(() => undefined);
    return result;
  }

  get attempts(): AttemptBackend {
    return (this.#attempts ??= new RedisAttempts(this.#hub, this.#settings.replyTimeoutMs));
  }

  close(timeoutMs: number): Promise<void> {
    return this.#hub.leave(this.#settings, timeoutMs);
  }

  #publication(
    kind: 'saved' | 'cleared',
    { key, reason }: { readonly key: string; readonly reason: string | undefined },
    { announcing, refusedAt }: Commanding,
  ): Publication | undefined {
    // It may have been granted since; to ask with every write would make each of them two.
    if (!announcing && this.clock.monotonic() - refusedAt < this.#settings.probeMs)
      return undefined;
    const { node, template } = this.#hub;
    const at = this.clock.now();
    return {
      channel: announcementChannel(template.db, key),
      message: encodeAnnouncement({ kind, node, at, reason }),
    };
  }

  #learn(commanding: Commanding, tried: Publication | undefined, announced: boolean): void {
    if (tried !== undefined) {
      commanding.announcing = announced;
      if (!announced) commanding.refusedAt = this.clock.monotonic();
    }
    this.#hub.nodes.learned(commanding.announcing);
  }
}
