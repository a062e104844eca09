import { relative } from 'node:path';

import {
  redisFromUrl,
  tryFindRedis,
  type RedisEndpoint,
  type RedisProvider,
} from '../../test/support/redis-server/index.js';

/** A Redis and how it came, or why there is none. */
export type OpenedRedis =
  | { readonly endpoint: RedisEndpoint; readonly product: string; readonly how: string }
  | { readonly endpoint: undefined; readonly why: string };

/** What the instances need to hear of writes by anybody. */
const NOTIFICATIONS = { 'notify-keyspace-events': 'Kg$xe' };

const NOTICE_AFTER_MS = 2_000;
const SEARCHING =
  'Looking for a Redis: the first time, this may download a container image or a package.\n';

/**
 * The Redis at `REDIS_URL`; else one that is started here and is the caller's to stop.
 *
 * @throws Error of one line when the one at `REDIS_URL` does not answer, or one that was found does not start
 */
export async function openRedis(environment: NodeJS.ProcessEnv): Promise<OpenedRedis> {
  const url = environment['REDIS_URL'];
  if (url) return { endpoint: await redisFromUrl(url), product: 'Redis', how: 'REDIS_URL' };
  const notice = setTimeout(() => process.stderr.write(SEARCHING), NOTICE_AFTER_MS);
  const search = await tryFindRedis(environment).finally(() => clearTimeout(notice));
  const { provider } = search;
  if (provider === undefined) return { endpoint: undefined, why: search.reason };
  const endpoint = await provider.start({ config: NOTIFICATIONS });
  const product = provider.description.includes('valkey') ? 'Valkey' : 'Redis';
  return { endpoint, product, how: howFound(provider, endpoint) };
}

function howFound({ kind, description }: RedisProvider, { version }: RedisEndpoint): string {
  if (kind === 'container') return description;
  const command = description.replace(` ${version}`, '');
  // A path is one that was given, or the package that was unpacked into the cache.
  return command.includes('/') ? relative(process.cwd(), command) : `${command} on PATH`;
}
