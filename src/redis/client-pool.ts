import { randomUUID } from 'node:crypto';
import type { Clock } from '../time/clock.js';
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
  readonly servers: Servers;
  /** The stores by their settings: thousands may have equal ones. */
  readonly #users = new Map<string, Users>();
  #settings: RedisSettings;
  #names = 0;
  #generations = 0;

  private constructor(template: RedisTemplate, settings: RedisSettings) {
    this.template = template;
    this.clock = settings.clock;
    this.#settings = settings;
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
   * @param connect - creates the backend of the stores with these settings
   * @throws InvalidOptionError
   */
  static acquire(
    redis: RedisClient,
    settings: RedisSettings,
    connect: (hub: ClientPool) => Backend,
  ): Backend {
    const template = readTemplate(redis);
    let hub = pools.get(redis);
    if (hub === undefined) {
      hub = new ClientPool(template, settings);
      pools.set(redis, hub);
    }
    if (hub.clock !== settings.clock) {
      throw new InvalidOptionError(
        'clock',
        'must be the one that the other stores on this client use',
      );
    }
    return hub.#join(settings, connect);
  }

  /** A name that is unique among all processes, and among all calls in this process. */
  newName(): string {
    this.#names += 1;
    return `${this.instance}:${String(this.#names)}`;
  }

  /** Closes the connections, within `timeoutMs`, when the last store has left. */
  async release(settings: RedisSettings, timeoutMs: number): Promise<void> {
    if (this.#leave(settings) > 0) return;
    pools.delete(this.template.client);
    await this.servers.close(timeoutMs);
  }

  /** Returns the one backend that all stores with equal settings share. */
  #join(settings: RedisSettings, connect: (hub: ClientPool) => Backend): Backend {
    const name = settingsKey(settings);
    const same = this.#users.get(name);
    if (same !== undefined) {
      same.count += 1;
      return same.backend;
    }
    const backend = connect(this);
    this.#users.set(name, { settings, backend, count: 1 });
    this.#applySettings();
    return backend;
  }

  /** Returns the number of distinct settings still in use. */
  #leave(settings: RedisSettings): number {
    const name = settingsKey(settings);
    const same = this.#users.get(name);
    if (same !== undefined) {
      same.count -= 1;
      if (same.count === 0) {
        this.#users.delete(name);
        this.#applySettings();
      }
    }
    return this.#users.size;
  }

  #applySettings(): void {
    const [first, ...more] = [...this.#users.values()].map(({ settings }) => settings);
    if (first === undefined) return;
    this.#settings = mergeSettings([first, ...more]);
    this.servers.applySettings();
  }
}

function settingsKey({
  heartbeatMs,
  replyTimeoutMs,
  pollMs,
  probeMs,
  configureNotifications,
}: RedisSettings): string {
  return [heartbeatMs, replyTimeoutMs, pollMs, probeMs, configureNotifications].join(' ');
}
