import type { Redis } from 'ioredis';
import type { AttemptBackend } from '../attempts.js';
import type { Clock } from '../clock.js';
import type {
  CredentialBackend,
  KeyWatch,
  KeyWatcher,
  Observation,
  RemoveRequest,
  WriteRequest,
} from '../credential-backend.js';
import { ClosedError } from '../errors.js';
import { encodeAnnouncement } from './announcement.js';
import type { Commanding } from './command-link.js';
import { RedisAttempts } from './redis-attempts.js';
import { RedisHub } from './redis-hub.js';
import { announcementChannel } from './redis-keys.js';
import type { RedisSettings } from './redis-settings.js';
import type { Publication } from './redis-transaction.js';

/** One store's access to a Redis; the connections behind it are shared with the other stores on the same client. */
export class RedisBackend implements CredentialBackend {
  readonly #hub: RedisHub;
  readonly #settings: RedisSettings;
  #attempts: RedisAttempts | undefined;
  #closed = false;

  /** @throws InvalidOptionError */
  constructor(redis: Redis, settings: RedisSettings) {
    const membership = RedisHub.join(redis, settings);
    this.#hub = membership.hub;
    this.#settings = membership.settings;
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

  async observe(key: string, maxBytes: number): Promise<Observation> {
    this.#checkOpen();
    return this.#hub.observe(key, maxBytes);
  }

  write(request: WriteRequest): Promise<{ announced: boolean }> {
    return this.#commanding((commanding) => {
      const publication = this.#publication('saved', request, commanding);
      return commanding.writing.set(request, publication).then((announced) => {
        this.#learn(commanding, announced);
        return { announced };
      });
    });
  }

  remove(request: RemoveRequest): Promise<{ removed: boolean; announced: boolean }> {
    return this.#commanding(async (commanding) => {
      const publication = this.#publication('cleared', request, commanding);
      const result = await commanding.writing.remove(request, publication);
      this.#learn(commanding, result.announced);
      return result;
    });
  }

  get attempts(): AttemptBackend {
    return (this.#attempts ??= new RedisAttempts(this.#hub, this.#settings.replyTimeoutMs));
  }

  watch(key: string, maxBytes: number, watcher: KeyWatcher): KeyWatch {
    return this.#hub.feed.watch(key, maxBytes, watcher);
  }

  close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    return this.#hub.leave(this.#settings, timeoutMs);
  }

  /** At once where the link is open, so that writes go out in the order in which they were asked for. */
  #commanding<R>(use: (commanding: Commanding) => Promise<R>): Promise<R> {
    if (this.#closed) return Promise.reject(new ClosedError());
    const { current } = this.#hub.commands;
    return current?.link.open ? use(current) : this.#hub.commanding().then(use);
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError();
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
