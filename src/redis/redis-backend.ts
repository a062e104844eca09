import type { Redis } from 'ioredis';
import type { AttemptBackend } from '../attempts.js';
import type { Clock } from '../clock.js';
import type {
  CredentialBackend,
  HintFeed,
  Observation,
  RemoveRequest,
  WriteRequest,
} from '../credential-backend.js';
import { encodeAnnouncement } from './announcement.js';
import type { Commanding } from './command-link.js';
import { RedisAttempts } from './redis-attempts.js';
import { RedisHub } from './redis-hub.js';
import { announcementChannel } from './redis-keys.js';
import type { RedisSettings } from './redis-settings.js';
import { RedisWriting, type Publication } from './redis-writing.js';

/** The access to a Redis for all stores that ask for the same; the connections behind it are shared with the others on the same client. */
export class RedisBackend implements CredentialBackend {
  readonly #hub: RedisHub;
  readonly #settings: RedisSettings;
  #attempts: RedisAttempts | undefined;

  private constructor(hub: RedisHub, settings: RedisSettings) {
    this.#hub = hub;
    this.#settings = settings;
  }

  /** @throws InvalidOptionError */
  static join(redis: Redis, settings: RedisSettings): CredentialBackend {
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
    return this.#hub.feed;
  }

  observe(key: string, maxBytes: number): Promise<Observation> {
    return this.#hub.observe(key, maxBytes);
  }

  async write(request: WriteRequest): Promise<{ announced: boolean }> {
    const commanding = await this.#hub.commanding();
    const publication = this.#publication('saved', request, commanding);
    const announced = await this.#writing(commanding).set(request, publication);
    this.#learn(commanding, announced);
    return { announced };
  }

  async remove(request: RemoveRequest): Promise<{ removed: boolean; announced: boolean }> {
    const commanding = await this.#hub.commanding();
    const publication = this.#publication('cleared', request, commanding);
    const result = await this.#writing(commanding).remove(request, publication);
    this.#learn(commanding, result.announced);
    return result;
  }

  get attempts(): AttemptBackend {
    return (this.#attempts ??= new RedisAttempts(this.#hub, this.#settings.replyTimeoutMs));
  }

  close(timeoutMs: number): Promise<void> {
    return this.#hub.leave(this.#settings, timeoutMs);
  }

  #writing({ link }: Commanding): RedisWriting {
    return new RedisWriting(link, () => this.#hub.newName());
  }

  #publication(
    kind: 'saved' | 'cleared',
    { key, reason }: { readonly key: string; readonly reason: string | undefined },
    { announcing }: Commanding,
  ): Publication | undefined {
    if (!announcing) return undefined;
    const { node, template } = this.#hub;
    const at = this.clock.now();
    return {
      channel: announcementChannel(template.db, key),
      message: encodeAnnouncement({ kind, node, at, reason }),
    };
  }

  #learn(commanding: Commanding, announced: boolean): void {
    commanding.announcing &&= announced;
    this.#hub.feed.learned(commanding.announcing);
  }
}
