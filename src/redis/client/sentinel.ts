import type { Redis, RedisOptions } from 'ioredis';

/**
 * For connections through Sentinel. A sentinel that hangs must not use up the time for the others, so each has its share of it, and
 * each connection begins with another one. Retries are ours.
 *
 * @param count - connections made so far
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
 * Closes the connections to sentinels over which ioredis waits for a failover: it keeps them, and makes them again and again, when the
 * connection to the server ends by itself.
 */
export function closeSentinels(client: Redis): void {
  const { connector } = client as unknown as {
    connector?: { failoverDetector?: { cleanup(): void } | null };
  };
  connector?.failoverDetector?.cleanup();
}
