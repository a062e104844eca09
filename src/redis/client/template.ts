import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { checkClient } from './client-check.js';
import { readClusterTemplate, type ClusterTemplate } from './cluster-template.js';
import type { ServerTemplate } from './server-template.js';
import { sentinelOverrides } from './sentinel.js';
import { hideFromTraces } from './tracing.js';

/** What the caller may give. */
export type RedisClient = Redis | Cluster;

/** A client of one Redis, from which our own connections take their options; nothing is ever sent on it. */
export interface SingleTemplate extends ServerTemplate {
  readonly type: 'single';
  readonly client: Redis;
  readonly keyPrefix: string;
}

export type RedisTemplate = SingleTemplate | ClusterTemplate;

/** @throws InvalidOptionError */
export function readTemplate(redis: unknown): RedisTemplate {
  const client = checkClient(redis);
  if (isCluster(client)) return readClusterTemplate(client);
  const { db, keyPrefix } = client.options;
  let made = 0;
  return {
    type: 'single',
    client,
    db: db ?? 0,
    mustBeMaster: true,
    keyPrefix: keyPrefix ?? '',
    create: (overrides) =>
      client.duplicate({
        ...overrides,
        ...('replyMapping' in client.options ? { replyMapping: 'legacy' } : {}),
        ...sentinelOverrides(client.options, Number(overrides['connectTimeout']), made++),
      }),
  };
}

/**
 * A connection of our own that ioredis neither retries, resubscribes, queues for nor renames keys on: all of that is decided here. It
 * takes the user name and password that the caller's client has at this moment.
 */
export function openClient(
  template: ServerTemplate,
  name: string,
  connectTimeoutMs: number,
): Redis {
  const overrides: Partial<Record<keyof RedisOptions, unknown>> = {
    lazyConnect: true,
    retryStrategy: () => null,
    reconnectOnError: null,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    // The ready check needs INFO, which may be refused; a server that is still loading says so to the first command.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectTimeout: connectTimeoutMs,
    keyPrefix: '',
    readOnly: false,
    stringNumbers: false,
    connectionName: name,
    // Deadlines are ours, and what the caller defined is not needed.
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
    scripts: undefined,
    himportFieldsets: undefined,
  };
  return hideFromTraces(template.create(overrides));
}

function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}
