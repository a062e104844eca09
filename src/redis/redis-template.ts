import type { Redis, RedisOptions } from 'ioredis';
import { InvalidOptionError } from '../errors.js';
import { kindOf } from '../option-checks.js';
import { hideFromTraces } from './redis-tracing.js';

/** What the caller may give. */
export type RedisClient = Redis;

/** What connections to one server are made from. */
export interface NodeTemplate {
  readonly db: number;
  /** Makes a client with the options that the caller's has at this moment, but for these; does not connect. */
  create(overrides: Readonly<Record<string, unknown>>): Redis;
}

/** The caller's client, from which our own connections take their options; nothing is ever sent on it. */
export interface RedisTemplate extends NodeTemplate {
  readonly client: RedisClient;
  readonly keyPrefix: string;
}

/** @throws InvalidOptionError */
export function readTemplate(redis: unknown): RedisTemplate {
  if (!isClient(redis)) {
    throw new InvalidOptionError('redis', `must be a client of ioredis, not ${kindOf(redis)}`);
  }
  if (redis.isCluster)
    throw new InvalidOptionError(
      'redis',
      'must be a client of one Redis; a Cluster is not supported yet',
    );
  if (redis.status === 'end') throw new InvalidOptionError('redis', 'is closed');
  const { db, keyPrefix, monitor } = redis.options;
  if (monitor) throw new InvalidOptionError('redis', 'is a monitor; give an ordinary client');
  return {
    client: redis,
    db: db ?? 0,
    keyPrefix: keyPrefix ?? '',
    create: (overrides) =>
      redis.duplicate({
        ...overrides,
        ...('replyMapping' in redis.options ? { replyMapping: 'legacy' } : {}),
        ...(redis.options.sentinels ? { role: 'master', failoverDetector: true } : {}),
      }),
  };
}

/**
 * A connection of our own that ioredis neither retries, resubscribes, queues for nor renames keys on: all of that is decided here. It
 * takes the user name and password that the caller's client has at this moment.
 */
export function openClient(template: NodeTemplate, name: string, connectTimeoutMs: number): Redis {
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

function isClient(value: unknown): value is Redis {
  return (
    typeof value === 'object' &&
    value !== null &&
    'duplicate' in value &&
    typeof value.duplicate === 'function' &&
    'options' in value &&
    typeof value.options === 'object' &&
    'status' in value
  );
}
