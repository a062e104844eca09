import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { checkClient } from './check.js';
import { readClusterTemplate, type ClusterTemplate } from './cluster-template.js';
import type { ServerTemplate } from './server-template.js';
import { hideBytes } from './hidden-bytes.js';
import { KnownSentinels, sentinelOverrides } from './known-sentinels.js';
import { makeUrlClient } from './url-client.js';
import { hideFromTraces } from './tracing.js';

/** The clients that a caller may give. */
export type RedisClient = Redis | Cluster;

/** A client of one Redis whose options our own connections take; no command is ever sent on it. */
export interface SingleTemplate extends ServerTemplate {
  readonly type: 'single';
  readonly client: Redis;
  readonly keyPrefix: string;
}

export type RedisTemplate = SingleTemplate | ClusterTemplate;

/** @throws InvalidOptionError */
export function readTemplate(redis: unknown): RedisTemplate {
  const client = checkClient(typeof redis === 'string' ? makeUrlClient(redis) : redis);
  if (isCluster(client)) return readClusterTemplate(client);
  const { db, keyPrefix } = client.options;
  let made = 0;
  const sentinels = new KnownSentinels(client.options);
  return {
    type: 'single',
    client,
    db: db ?? 0,
    mustBeMaster: true,
    keyPrefix: keyPrefix ?? '',
    create: (overrides) => {
      const options = { ...client.options, ...sentinels.current };
      const own = client.duplicate({
        ...overrides,
        ...('replyMapping' in client.options ? { replyMapping: 'legacy' } : {}),
        ...sentinelOverrides(options, Number(overrides['connectTimeout']), made++),
      });
      own.once('ready', () => {
        sentinels.learn(own);
      });
      return own;
    },
  };
}

/** The differences between our own connections. */
interface ClientOptions {
  /** The name in CLIENT LIST. */
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly warnOfTraces: () => void;
}

/**
 * Opens a connection on which ioredis neither retries, resubscribes, queues nor renames keys: those decisions are made in this room. The
 * connection takes the user name and password that the caller's client has at this moment.
 */
export function openClient(
  template: ServerTemplate,
  { name, connectTimeoutMs, warnOfTraces }: ClientOptions,
  located: Readonly<Record<string, unknown>> = {},
): Redis {
  const overrides: Partial<Record<keyof RedisOptions, unknown>> = {
    lazyConnect: true,
    retryStrategy: () => null,
    reconnectOnError: null,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    // The ready check needs INFO, which may be refused; a server that is still loading replies so to the first command.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectTimeout: connectTimeoutMs,
    keyPrefix: '',
    readOnly: false,
    stringNumbers: false,
    connectionName: name,
    // CLIENT SETINFO would fill the log of refused commands where the user may not send it.
    disableClientInfo: true,
    // Deadlines are our own, and the caller's scripts are not needed.
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
    scripts: undefined,
    himportFieldsets: undefined,
  };
  const client = hideFromTraces(template.create({ ...overrides, ...located }), warnOfTraces);
  const { options } = client as { options: { password?: unknown } };
  if (typeof options.password === 'string' && options.password !== '')
    options.password = hideBytes(Buffer.from(options.password));
  return client;
}

function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}
