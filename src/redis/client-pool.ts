import { randomUUID } from 'node:crypto';
import type { Clock } from '../time/clock.js';
import { rootClock } from '../time/root-clock.js';
import type { Backend } from '../backend/backend.js';
import { InvalidOptionError } from '../errors.js';
import { ClusterServers } from './servers/cluster-servers.js';
import type { ServerContext } from './servers/server.js';
import type { Servers } from './servers/servers.js';
import { mergeSettings, type RedisSettings } from './connection-options.js';
import { readTemplate, type RedisClient, type RedisTemplate } from './client/template.js';
import { SingleServer } from './servers/single-server.js';

/** All stores on one client of the caller share one pool. */
const pools = new WeakMap<RedisClient, ClientPool>();

/** The stores with equal settings. */
interface Users {
  readonly settings: RedisSettings;
  readonly backend: Backend;
  count: number;
}

/** The connections and the feed that the stores on one client share. A pool lives as long as any of its stores. */
export class ClientPool {
  readonly instance: string = randomUUID();
  readonly template: RedisTemplate;
  readonly clock: Clock;
  readonly #givenClock: Clock;
  readonly servers: Servers;
  /** The stores by their settings: thousands may have equal ones. */
  readonly #users = new Map<string, Users>();
  #settings: RedisSettings;
  #names = 0;
  #generations = 0;

  private constructor(template: RedisTemplate, settings: RedisSettings) {
    this.template = template;
    this.#givenClock = settings.clock;
    this.clock = rootClock(settings.clock);
    this.#settings = { ...settings, clock: this.clock };
    const context: ServerContext = {
      instance: this.instance,
      settings: () => this.#settings,
      newName: () => this.newName(),
      newGeneration: () => (this.#generations += 1),
    };
    this.servers =
      template.type === 'cluster'
        ? new ClusterServers(template, context)
        : new SingleServer(template, context);
  }

  /**
   * Joins the pool of a client, or creates it.
   *
   * @param name - the label of the stores for people
   * @param connect - makes what the stores with these settings and this name reach Redis by
   * @throws InvalidOptionError
   */
  static acquire(
    redis: RedisClient,
    settings: RedisSettings,
    name: string,
    connect: (pool: ClientPool) => Backend,
  ): Backend {
    const template = readTemplate(redis);
    let pool = pools.get(redis);
    if (pool === undefined) {
      pool = new ClientPool(template, settings);
      pools.set(redis, pool);
    }
    if (pool.#givenClock !== settings.clock) {
      throw new InvalidOptionError(
        'clock',
        'must be the one that the other stores on this client use',
      );
    }
    return pool.#join(settings, name, connect);
  }

  /** A name that is unique among all processes, and among all calls in this process. */
  newName(): string {
    this.#names += 1;
    return `${this.instance}:${String(this.#names)}`;
  }

  /** The last to leave closes the connections, within `timeoutMs`. */
  async release(settings: RedisSettings, name: string, timeoutMs: number): Promise<void> {
    if (this.#leave(usersKey(settings, name)) > 0) return;
    // A second call comes after the end of this pool, when the client may have another one.
    if (pools.get(this.template.client) === this) pools.delete(this.template.client);
    await this.servers.close(timeoutMs);
  }

  /** Gives the one object that all who ask for the same share. */
  #join(settings: RedisSettings, name: string, connect: (pool: ClientPool) => Backend): Backend {
    const key = usersKey(settings, name);
    const same = this.#users.get(key);
    if (same !== undefined) {
      same.count += 1;
      return same.backend;
    }
    const backend = connect(this);
    this.#users.set(key, { settings, backend, count: 1 });
    this.#applySettings();
    return backend;
  }

  /** Says how many kinds of users are left. */
  #leave(key: string): number {
    const same = this.#users.get(key);
    if (same !== undefined) {
      same.count -= 1;
      if (same.count === 0) {
        this.#users.delete(key);
        this.#applySettings();
      }
    }
    return this.#users.size;
  }

  #applySettings(): void {
    const [first, ...more] = [...this.#users.values()].map(({ settings }) => settings);
    if (first === undefined) return;
    this.#settings = { ...mergeSettings([first, ...more]), clock: this.clock };
    this.servers.applySettings();
  }
}

function usersKey(settings: RedisSettings, name: string): string {
  const { heartbeatMs, replyTimeoutMs, pollMs, probeMs, configureNotifications } = settings;
  return [heartbeatMs, replyTimeoutMs, pollMs, probeMs, configureNotifications, name].join(' ');
}
