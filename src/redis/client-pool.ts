import { randomUUID } from 'node:crypto';
import type { Clock } from '../time/clock.js';
import { rootClock } from '../time/root-clock.js';
import type { Backend } from '../backend/backend.js';
import { CredstreamError, InvalidOptionError } from '../errors.js';
import { ClusterServers } from './servers/cluster-servers.js';
import type { ServerContext } from './servers/server.js';
import type { Servers } from './servers/servers.js';
import { HelperNames } from './commands/helper-names.js';
import { readFailure } from './reply-errors.js';
import { mergeSettings, type RedisSettings } from './connection-options.js';
import { createTraceWarning } from './client/tracing.js';
import { readTemplate, type RedisClient, type RedisTemplate } from './client/template.js';
import { SkewWarning } from './servers/skew-warning.js';
import { SingleServer } from './servers/single-server.js';

/** All stores on one client of the caller and in one namespace share one pool. */
const pools = new WeakMap<RedisClient, Map<string, ClientPool>>();
/** The templates of the URLs in use, so that stores on equal URLs share a pool too. */
const templates = new Map<string, RedisClient>();

/** The stores with equal settings. */
interface Users {
  readonly settings: RedisSettings;
  readonly backend: Backend;
  count: number;
}

/** The connections and the feed that the stores on one client and in one namespace share. A pool lives as long as any of its stores. */
export class ClientPool {
  readonly names: HelperNames;
  readonly template: RedisTemplate;
  readonly clock: Clock;
  readonly #givenClock: Clock;
  readonly servers: Servers;
  /** The stores by their settings: thousands may have equal ones. */
  readonly #users = new Map<string, Users>();
  #settings: RedisSettings;
  #generations = 0;
  #hasWarned = false;
  readonly #url: string | undefined;

  private constructor(template: RedisTemplate, settings: RedisSettings, url: string | undefined) {
    this.template = template;
    this.names = new HelperNames(settings.namespace, randomUUID());
    this.#url = url;
    this.#givenClock = settings.clock;
    this.clock = rootClock(settings.clock);
    this.#settings = { ...settings, clock: this.clock };
    const context: ServerContext = {
      instance: this.instance,
      settings: () => this.#settings,
      names: this.names,
      newGeneration: () => (this.#generations += 1),
      skewWarning: new SkewWarning((message) => {
        process.emitWarning(message, 'CredstreamWarning');
      }),
      warnOfTraces: createTraceWarning(),
      connectFailed: (error) => {
        this.#warn(error);
      },
    };
    this.servers =
      template.type === 'cluster'
        ? new ClusterServers(template, context)
        : new SingleServer(template, context);
  }

  /**
   * Joins the pool of a client and a namespace, or creates it.
   *
   * @param name - the label of the stores for people
   * @param connect - makes what the stores with these settings and this name reach Redis by
   * @throws InvalidOptionError
   */
  static acquire(
    redis: RedisClient | string,
    settings: RedisSettings,
    name: string,
    connect: (pool: ClientPool) => Backend,
  ): Backend {
    const template = readTemplate(
      typeof redis === 'string' ? (templates.get(redis) ?? redis) : redis,
    );
    const { client } = template;
    const { namespace } = settings;
    const all = pools.get(client) ?? new Map<string, ClientPool>();
    let pool = all.get(namespace);
    if (pool === undefined) {
      pool = new ClientPool(template, settings, typeof redis === 'string' ? redis : undefined);
      pools.set(client, all.set(namespace, pool));
      if (typeof redis === 'string') templates.set(redis, client);
    }
    if (pool.#givenClock !== settings.clock) {
      throw new InvalidOptionError(
        'clock',
        'must be the one that the other stores on this client use',
      );
    }
    return pool.#join(settings, name, connect);
  }

  get instance(): string {
    return this.names.instance;
  }

  /** The last to leave closes the connections, within `timeoutMs`. */
  async release(settings: RedisSettings, name: string, timeoutMs: number): Promise<void> {
    if (this.#leave(usersKey(settings, name)) > 0) return;
    // A second call comes after the end of this pool, when the client may have another one.
    const all = pools.get(this.template.client);
    if (all?.get(settings.namespace) === this) {
      all.delete(settings.namespace);
      if (all.size === 0) this.#forgetClient();
    }
    await this.servers.close(timeoutMs);
  }

  #forgetClient(): void {
    pools.delete(this.template.client);
    if (this.#url !== undefined) templates.delete(this.#url);
  }

  /** Warns of the first failure: a store that nobody waits for would keep trying in silence. */
  #warn(error: Error): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const { message, cause } = error instanceof CredstreamError ? error : readFailure(error);
    const why = cause instanceof Error ? ` (${cause.message})` : '';
    process.emitWarning(
      `${message}${why}; the stores on this client keep trying`,
      'CredstreamWarning',
    );
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
  const { heartbeatMs, replyTimeoutMs, pollMs, probeMs, sweepMs, configureNotifications } =
    settings;
  const numbers = [heartbeatMs, replyTimeoutMs, pollMs, probeMs, sweepMs];
  return [...numbers, configureNotifications, name].join(' ');
}
