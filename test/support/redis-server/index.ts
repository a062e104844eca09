/** Finds and starts a real Redis. Used by tests, benchmarks and the demo, so nothing here knows of vitest. */
export { findRedis, findRedisProgram, tryFindRedis } from './find-redis.js';
export { redisFromUrl } from './redis-from-url.js';
export {
  type RedisEndpoint,
  type RedisKind,
  type RedisProvider,
  type RedisServer,
  type StartOptions,
} from './redis-server.js';
