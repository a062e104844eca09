import { binaryProvider } from './binary-provider.js';
import { containerProvider } from './container-provider.js';
import { downloadRedis } from './debian-package.js';
import { probeBinary } from './redis-binary.js';
import type { RedisProvider } from './redis-server.js';

/** What {@link tryFindRedis} found, or why there is nothing. */
export type RedisSearch =
  { readonly provider: RedisProvider } | { readonly provider: undefined; readonly reason: string };

type Environment = Readonly<Record<string, string | undefined>>;

const WHAT_TO_INSTALL =
  'no Redis to start: install redis-server (apt-get install redis-server, brew install redis), or set REDIS_SERVER to its path, or start Docker';
const NO_PROGRAM =
  'no redis-server to form a cluster or a Sentinel set with: install one (apt-get install redis-server, brew install redis), or set REDIS_SERVER to its path; a container will not do';

/**
 * Finds a Redis that can be started here: `REDIS_SERVER`, `redis-server` or `valkey-server` on PATH, a container, the
 * distribution's package unpacked under `.cache/redis`. `TEST_REDIS=container|binary|download` allows that one only.
 *
 * @throws Error of one line that says what to install, and what was tried.
 */
export async function findRedis(environment: Environment = process.env): Promise<RedisProvider> {
  const search = await tryFindRedis(environment);
  if (search.provider === undefined) throw new Error(search.reason);
  return search.provider;
}

/** As {@link findRedis}, for callers that can do without: the reason comes back instead of an error. */
export async function tryFindRedis(environment: Environment = process.env): Promise<RedisSearch> {
  const failures: string[] = [];
  try {
    for (const [name, find] of waysToFind(environment)) {
      try {
        return { provider: await find() };
      } catch (error) {
        failures.push(`${name}: ${firstLine(error)}`);
      }
    }
  } catch (error) {
    return { provider: undefined, reason: firstLine(error) };
  }
  return { provider: undefined, reason: `${WHAT_TO_INSTALL} (${failures.join('; ')})` };
}

/**
 * Finds a program to start servers with that form one topology: they tell each other and the clients under which address they are
 * reached, which a container behind a published port does not know. So `TEST_REDIS` does not matter here.
 *
 * @throws Error of one line that says what to install, and what was tried.
 */
export async function findRedisProgram(
  environment: Environment = process.env,
): Promise<RedisProvider> {
  const { REDIS_SERVER: path } = environment;
  const failures: string[] = [];
  for (const [name, find] of path ? binariesToFind(path) : [...binariesToFind(path), download]) {
    try {
      return await find();
    } catch (error) {
      failures.push(`${name}: ${firstLine(error)}`);
    }
  }
  throw new Error(`${NO_PROGRAM} (${failures.join('; ')})`);
}

type Way = readonly [name: string, find: () => Promise<RedisProvider>];

const download: Way = ['download', async () => binaryProvider(await downloadRedis())];

function binariesToFind(path: string | undefined): Way[] {
  const binary = (command: string): Way => [
    command,
    async () => binaryProvider(await probeBinary(command)),
  ];
  return path ? [binary(path)] : [binary('redis-server'), binary('valkey-server')];
}

function waysToFind(environment: Environment): Way[] {
  const { REDIS_SERVER: path, TEST_REDIS: only, TEST_REDIS_IMAGE: image } = environment;
  const binaries = binariesToFind(path);
  const container: Way = ['container', () => containerProvider(image ?? 'redis:7')];
  switch (only) {
    case 'container':
      return [container];
    case 'binary':
      return binaries;
    case 'download':
      return [download];
    case undefined:
    case '':
      // A path that somebody set on purpose and that does not work should be heard of, not worked around.
      return path ? binaries : [...binaries, container, download];
    default:
      throw new Error(`TEST_REDIS is container, binary or download, not ${only}`);
  }
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
