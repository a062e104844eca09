import { openRedis } from './open-redis.js';

/** A Redis to try the examples on: the one at `REDIS_URL`, or one that is started here and stops at the end. */
export async function startRedis(): Promise<{ readonly url: string } & AsyncDisposable> {
  const redis = await openRedis(process.env);
  if (redis.endpoint === undefined) throw new Error(redis.why);
  const { endpoint } = redis;
  return { url: endpoint.url, [Symbol.asyncDispose]: () => endpoint.stop() };
}
