import type { Redis, RedisOptions } from 'ioredis';
import { InvalidOptionError } from '../errors.js';
import { checkClient } from './client-check.js';
import { hideFromTraces } from './redis-tracing.js';

/** The caller's client, from which our own connections take their options; nothing is ever sent on it. */
export interface RedisTemplate {
  readonly client: Redis;
  readonly db: number;
  readonly keyPrefix: string;
}

/** @throws InvalidOptionError */
export function readTemplate(redis: unknown): RedisTemplate {
  const client = checkClient(redis);
  if (client.isCluster)
    throw new InvalidOptionError(
      'redis',
      'must be a client of one Redis; a Cluster is not supported yet',
    );
  const { db, keyPrefix } = client.options;
  return { client, db: db ?? 0, keyPrefix: keyPrefix ?? '' };
}

/**
 * A connection of our own that ioredis neither retries, resubscribes, queues for nor renames keys on: all of that is decided here. It
 * takes the user name and password that the caller's client has at this moment.
 */
export function openClient(
  { client }: RedisTemplate,
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
    ...('replyMapping' in client.options ? { replyMapping: 'legacy' } : {}),
    ...(client.options.sentinels ? { role: 'master', failoverDetector: true } : {}),
  };
  return hideFromTraces(client.duplicate(overrides as RedisOptions));
}
