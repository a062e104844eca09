/** Finds and starts a real Redis. Used by tests, benchmarks and the demo, so nothing here knows of vitest. */
export { findRedis, type RedisSearch, tryFindRedis } from './find-redis.js';
export { redisFromUrl } from './redis-from-url.js';
export {
  type RedisEndpoint,
  type RedisKind,
  type RedisProvider,
  type RedisServer,
  type RestartOptions,
  type StartOptions,
} from './redis-server.js';
