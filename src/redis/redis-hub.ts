import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Clock } from '../clock.js';
import type { CredentialBackend, Observation } from '../credential-backend.js';
import { InvalidOptionError } from '../errors.js';
import { ServerTime } from '../server-time.js';
import { CommandLink, type Commanding } from './command-link.js';
import { readFailure } from './redis-errors.js';
import { RedisFeed } from './redis-feed.js';
import { toObservation } from './redis-observing.js';
import { mergeSettings, type RedisSettings } from './redis-settings.js';
import { ReplicaWait } from './replica-wait.js';
import { readTemplate, type RedisTemplate } from './redis-template.js';

/** All stores on one client of the caller share one hub. */
const hubs = new WeakMap<Redis, RedisHub>();

/** Stores that ask for the same. */
interface Users {
  readonly settings: RedisSettings;
  readonly backend: CredentialBackend;
  count: number;
}

/** What the stores on one client share: at most two connections, one feed, one view of the server's clock. Lives as long as any of them. */
export class RedisHub {
  readonly node: string = randomUUID();
  readonly template: RedisTemplate;
  readonly clock: Clock;
  readonly commands: CommandLink;
  readonly feed: RedisFeed;
  readonly replicas: ReplicaWait;
  readonly #time: ServerTime;
  /** The stores, by what they ask for: thousands may ask for the same. */
  readonly #users = new Map<string, Users>();
  #settings: RedisSettings;
  #names = 0;

  private constructor(template: RedisTemplate, settings: RedisSettings) {
    const { clock } = settings;
    this.template = template;
    this.clock = clock;
    this.#settings = settings;
    this.#time = new ServerTime(clock);
    const replyTimeoutMs = (): number => this.#settings.replyTimeoutMs;
    const newName = (): string => this.newName();
    const linkOptions = { clock, name: 'credstream:commands', replyTimeoutMs };
    this.commands = new CommandLink(template, linkOptions, newName);
    this.replicas = new ReplicaWait(template, linkOptions, newName);
    this.feed = new RedisFeed({
      template,
      linkOptions: { clock, name: 'credstream:feed', replyTimeoutMs },
      commands: this.commands,
      time: this.#time,
      node: this.node,
      newName,
      settings: () => this.#settings,
    });
  }

  /**
   * Joins the hub of a client, or makes one.
   *
   * @param connect - makes what the stores with these settings reach Redis by
   * @throws InvalidOptionError
   */
  static join(
    redis: Redis,
    settings: RedisSettings,
    connect: (hub: RedisHub) => CredentialBackend,
  ): CredentialBackend {
    const template = readTemplate(redis);
    let hub = hubs.get(redis);
    if (hub === undefined) {
      hub = new RedisHub(template, settings);
      hubs.set(redis, hub);
    }
    if (hub.clock !== settings.clock) {
      throw new InvalidOptionError(
        'clock',
        'must be the one that the other stores on this client use',
      );
    }
    return hub.#enter(settings, connect);
  }

  /** A name that no other process, and no other call in this one, uses. */
  newName(): string {
    this.#names += 1;
    return `${this.node}:${String(this.#names)}`;
  }

  /** @throws UnavailableError, RefusedError */
  async observe(key: string, maxBytes: number): Promise<Observation> {
    const seen = await this.feed.read(key, maxBytes);
    if (seen !== undefined) return seen;
    const { observer } = await this.commanding();
    try {
      return toObservation(await observer.look({ key, maxBytes, epochKey: undefined }), this.#time);
    } catch (error) {
      throw readFailure(error);
    }
  }

  /** @throws UnavailableError, RefusedError */
  async commanding(): Promise<Commanding> {
    try {
      return await this.commands.get();
    } catch (error) {
      throw readFailure(error);
    }
  }

  /** The last to leave closes the connections, within `timeoutMs`. */
  async leave(settings: RedisSettings, timeoutMs: number): Promise<void> {
    if (this.#exit(settings) > 0) return;
    hubs.delete(this.template.client);
    this.feed.close();
    this.replicas.close();
    await this.commands.close(timeoutMs);
  }

  /** Gives the one object that all who ask for the same share. */
  #enter(
    settings: RedisSettings,
    connect: (hub: RedisHub) => CredentialBackend,
  ): CredentialBackend {
    const name = nameOf(settings);
    const same = this.#users.get(name);
    if (same !== undefined) {
      same.count += 1;
      return same.backend;
    }
    const backend = connect(this);
    this.#users.set(name, { settings, backend, count: 1 });
    this.#retime();
    return backend;
  }

  /** Says how many kinds of users are left. */
  #exit(settings: RedisSettings): number {
    const name = nameOf(settings);
    const same = this.#users.get(name);
    if (same !== undefined) {
      same.count -= 1;
      if (same.count === 0) {
        this.#users.delete(name);
        this.#retime();
      }
    }
    return this.#users.size;
  }

  #retime(): void {
    const [first, ...more] = [...this.#users.values()].map(({ settings }) => settings);
    if (first === undefined) return;
    this.#settings = mergeSettings([first, ...more]);
    this.feed.retime();
  }
}

function nameOf({
  heartbeatMs,
  replyTimeoutMs,
  pollMs,
  probeMs,
  configureNotifications,
}: RedisSettings): string {
  return [heartbeatMs, replyTimeoutMs, pollMs, probeMs, configureNotifications].join(' ');
}
