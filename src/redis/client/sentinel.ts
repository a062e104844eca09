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
