import { Redis } from 'ioredis';

import type { RedisEndpoint } from './redis-server.js';

/**
 * A server that somebody else runs, for a demo on one's own Redis. Connects once to see that it answers; never stops it.
 *
 * @throws Error of one line, without the URL's password, when it does not answer.
 */
export async function redisFromUrl(url: string): Promise<RedisEndpoint> {
  const { hostname, port, protocol } = parse(url);
  const probe = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: 5_000,
    commandTimeout: 5_000,
    enableReadyCheck: false,
  });
  probe.on('error', () => {});
  try {
    await probe.connect();
    const info = await probe.info('server');
    return {
      host: hostname,
      port: port === '' ? 6379 : Number(port),
      url,
      version: versionIn(info),
      stop: async () => {},
    };
  } catch {
    // Not the cause: errors of a failed AUTH hold the arguments.
    throw new Error(`no Redis answers at ${protocol}//${hostname}:${port || '6379'}`);
  } finally {
    probe.disconnect();
  }
}

/** The server's own version: forks also tell that of the Redis which they are compatible with. */
export function versionIn(info: string): string {
  const own = /^(?:valkey|redict)_version:(\S+)/m.exec(info) ?? /^redis_version:(\S+)/m.exec(info);
  return own?.[1] ?? 'unknown';
}

function parse(url: string): URL {
  if (!URL.canParse(url) || !/^rediss?:$/.test(new URL(url).protocol)) {
    throw new Error('the URL of a Redis begins with redis:// or rediss://');
  }
  return new URL(url);
}
