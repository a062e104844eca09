import type { Redis, RedisOptions } from 'ioredis';

/**
 * The options of a connection through Sentinel. A sentinel that hangs must not use up the time of the others: each gets a share of the
 * timeout, and each connection begins with another sentinel. Retries are our own.
 *
 * @param count - connections opened so far
 */
export function sentinelOverrides(
  { sentinels }: RedisOptions,
  connectTimeoutMs: number,
  count: number,
): Partial<RedisOptions> {
  if (!sentinels || sentinels.length === 0) return {};
  const first = count % sentinels.length;
  return {
    role: 'master',
    failoverDetector: true,
    sentinels: [...sentinels.slice(first), ...sentinels.slice(0, first)],
    sentinelCommandTimeout: Math.max(10, Math.floor(connectTimeoutMs / (sentinels.length + 1))),
    sentinelRetryStrategy: () => null,
  };
}

/**
 * Closes the connections to sentinels over which ioredis waits for a failover: ioredis keeps and renews them when the connection to the
 * server ends by itself.
 */
export function closeSentinels(client: Redis): void {
  const { connector } = client as unknown as {
    connector?: { failoverDetector?: { cleanup(): void } | null };
  };
  connector?.failoverDetector?.cleanup();
}

type Sentinels = NonNullable<RedisOptions['sentinels']>;

/**
 * The sentinels of the caller and those that any connection learned of: when all that the caller named have been replaced one by one, the next
 * connection still finds the master.
 */
export class KnownSentinels {
  readonly #options: RedisOptions;
  #learned: Sentinels = [];

  /** @param options - the live options of the caller's client */
  constructor(options: RedisOptions) {
    this.#options = options;
  }

  /** An option of ioredis; empty without Sentinel. */
  get current(): Pick<RedisOptions, 'sentinels'> {
    const { sentinels } = this.#options;
    if (!sentinels?.length) return {};
    const known = sentinels.map(nameOf);
    return {
      sentinels: [...sentinels, ...this.#learned.filter((one) => !known.includes(nameOf(one)))],
    };
  }

  /** Takes over the sentinels that the master's own sentinels named to a connection, in place of those that another one learned before. */
  learn(client: Redis): void {
    const { connector } = client as unknown as {
      connector?: { sentinelIterator?: { sentinels?: Sentinels } };
    };
    const all = connector?.sentinelIterator?.sentinels;
    if (!Array.isArray(all)) return;
    const latest = [...all, ...this.#learned].filter(({ host }) => typeof host === 'string');
    this.#learned = [...new Map(latest.map((one) => [nameOf(one), one])).values()].slice(0, MOST);
  }
}

/** Sentinels come and go; the oldest of more than so many are forgotten. */
const MOST = 32;

function nameOf({ host = '127.0.0.1', port = 26_379 }: Sentinels[number]): string {
  return `${host}:${String(port)}`;
}
