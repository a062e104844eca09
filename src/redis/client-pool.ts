import { randomUUID } from 'node:crypto';
import type { Clock } from '../time/clock.js';
import type { CredentialBackend } from '../backend/backend.js';
import { InvalidOptionError } from '../errors.js';
import { ClusterNodes } from './servers/cluster-nodes.js';
import type { RedisNodeContext } from './servers/server.js';
import type { RedisNodes } from './servers/topology.js';
import { mergeSettings, type RedisSettings } from './connection-options.js';
import { readTemplate, type RedisClient, type RedisTemplate } from './client/template.js';
import { SingleNode } from './servers/single-server.js';

/** All stores on one client of the caller share one hub. */
const hubs = new WeakMap<RedisClient, RedisHub>();

/** Stores that ask for the same. */
interface Users {
  readonly settings: RedisSettings;
  readonly backend: CredentialBackend;
  count: number;
}

/** What the stores on one client share: the connections, the feed. Lives as long as any of them. */
export class RedisHub {
  readonly node: string = randomUUID();
  readonly template: RedisTemplate;
  readonly clock: Clock;
  readonly nodes: RedisNodes;
  /** The stores, by what they ask for: thousands may ask for the same. */
  readonly #users = new Map<string, Users>();
  #settings: RedisSettings;
  #names = 0;
  #generations = 0;

  private constructor(template: RedisTemplate, settings: RedisSettings) {
    this.template = template;
    this.clock = settings.clock;
    this.#settings = settings;
    const context: RedisNodeContext = {
      process: this.node,
      settings: () => this.#settings,
      newName: () => this.newName(),
      newGeneration: () => (this.#generations += 1),
    };
    this.nodes =
      template.type === 'cluster'
        ? new ClusterNodes(template, context)
        : new SingleNode(template, context);
  }

  /**
   * Joins the hub of a client, or makes one.
   *
   * @param connect - makes what the stores with these settings reach Redis by
   * @throws InvalidOptionError
   */
  static join(
    redis: RedisClient,
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

  /** The last to leave closes the connections, within `timeoutMs`. */
  async leave(settings: RedisSettings, timeoutMs: number): Promise<void> {
    if (this.#exit(settings) > 0) return;
    hubs.delete(this.template.client);
    await this.nodes.close(timeoutMs);
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
    this.nodes.retime();
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
